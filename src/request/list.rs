//! Lists of requests, linked through the requests themselves: no allocation, removal from anywhere.
//!
//! A request is on at most one list. Whoever calls these functions holds the lock of that list.

use bytemuck::Zeroable;

use crate::request::{Request, Slab};
use crate::sync::{AtomicU32, Ordering};

#[cfg(test)]
std::thread_local! {
    /// Steps from one request to the next that this thread has made: what a walk costs.
    pub static STEPS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

/// Neighbours on a list, by index + 1; 0 is none. Touched under the list's lock only.
#[derive(Debug, Default, Zeroable)]
pub struct Links {
    prev: AtomicU32,
    next: AtomicU32,
    /// On a list.
    is_listed: AtomicU32,
}

impl Links {
    /// On no list, and linked to the next free place of the slab.
    pub(super) fn set_next_free(&self, next: u32) {
        self.next.store(next, Ordering::Relaxed);
    }

    /// The next free place of the slab.
    pub(super) fn next_free(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }
}

/// First and last request, by index + 1. Zero is an empty list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Zeroable)]
pub struct List {
    head: u32,
    tail: u32,
}

impl List {
    /// Nothing on it.
    pub const EMPTY: List = List { head: 0, tail: 0 };

    /// Whether nothing is on it.
    pub fn is_empty(&self) -> bool {
        self.head == 0
    }

    /// The first request.
    pub fn first<'a>(&self, slab: &'a Slab) -> Option<&'a Request> {
        slab.get(self.head.checked_sub(1)?)
    }

    /// The last request.
    pub fn last<'a>(&self, slab: &'a Slab) -> Option<&'a Request> {
        slab.get(self.tail.checked_sub(1)?)
    }

    /// The request after `request`.
    pub fn next<'a>(&self, slab: &'a Slab, request: &Request) -> Option<&'a Request> {
        #[cfg(test)]
        STEPS.with(|steps| steps.set(steps.get() + 1));
        slab.get(request.links.next.load(Ordering::Relaxed).checked_sub(1)?)
    }

    /// Adds a request at the end.
    pub fn push_back(&mut self, slab: &Slab, request: &Request) {
        let this = request.index() + 1;
        self.mark(request, self.tail, 0);
        match self.tail.checked_sub(1).and_then(|tail| slab.get(tail)) {
            Some(tail) => tail.links.next.store(this, Ordering::Relaxed),
            None => self.head = this,
        }
        self.tail = this;
    }

    /// Adds a request at the front.
    pub fn push_front(&mut self, slab: &Slab, request: &Request) {
        let this = request.index() + 1;
        self.mark(request, 0, self.head);
        match self.first(slab) {
            Some(head) => head.links.prev.store(this, Ordering::Relaxed),
            None => self.tail = this,
        }
        self.head = this;
    }

    fn mark(&self, request: &Request, prev: u32, next: u32) {
        request.links.prev.store(prev, Ordering::Relaxed);
        request.links.next.store(next, Ordering::Relaxed);
        request.links.is_listed.store(1, Ordering::Relaxed);
    }

    /// Takes a request off, if it is on the list.
    pub fn remove(&mut self, slab: &Slab, request: &Request) -> bool {
        if request.links.is_listed.swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        let prev = request.links.prev.load(Ordering::Relaxed);
        let next = request.links.next.load(Ordering::Relaxed);
        match prev.checked_sub(1).and_then(|prev| slab.get(prev)) {
            Some(request) => request.links.next.store(next, Ordering::Relaxed),
            None => self.head = next,
        }
        match next.checked_sub(1).and_then(|next| slab.get(next)) {
            Some(request) => request.links.prev.store(prev, Ordering::Relaxed),
            None => self.tail = prev,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Task, Work};

    #[test]
    fn requests_leave_from_anywhere() {
        let slab = Slab::default();
        let requests: Vec<&Request> = (0..4)
            .map(|_| {
                let task = Task::Poll { events: 0 };
                slab.insert(Work { data: 0, iocb: 1, fd: 0, task }).unwrap()
            })
            .collect();
        let mut list = List::default();
        let order = |list: &List| {
            let mut order = Vec::new();
            let mut next = list.first(&slab);
            while let Some(request) = next {
                order.push(request.index());
                next = list.next(&slab, request);
            }
            order
        };
        list.push_back(&slab, requests[1]);
        list.push_back(&slab, requests[2]);
        list.push_front(&slab, requests[0]);
        list.push_back(&slab, requests[3]);
        assert_eq!(order(&list), [0, 1, 2, 3]);
        assert!(list.remove(&slab, requests[1]));
        assert!(!list.remove(&slab, requests[1]));
        assert_eq!(order(&list), [0, 2, 3]);
        assert!(list.remove(&slab, requests[3]) && list.remove(&slab, requests[0]));
        assert_eq!(order(&list), [2]);
        assert!(list.remove(&slab, requests[2]) && list.is_empty());
        list.push_back(&slab, requests[3]);
        assert_eq!(order(&list), [3]);
    }
}
