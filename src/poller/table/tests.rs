use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::*;
use crate::request::Work;
use crate::request::list::STEPS;

fn steps() -> usize {
    STEPS.with(core::cell::Cell::get)
}

fn visit(slab: &Slab, epoll: i32) -> Visit<'_> {
    Visit {
        slab,
        files: None,
        epoll,
        kick: -1,
        is_submission: false,
        unlisted: 0,
        done: List::EMPTY,
    }
}

/// A poll of `fd` on no list yet.
fn poll(slab: &Slab, fd: i32, events: i16) -> &Request {
    let task = Task::Poll { events: events as u16 };
    let request = slab.insert(Work { data: 0, iocb: 1, fd, task }).unwrap();
    request.set_pin(fd::duplicate(fd).unwrap(), None);
    request.state.arm();
    request
}

/// Sorts the events that are there; how many requests that completed.
fn fire_all(table: &mut Table, visit: &mut Visit<'_>) -> u32 {
    let before = visit.unlisted;
    let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 8];
    let count = epoll::wait(visit.epoll, &mut ready, 0).unwrap();
    for event in &ready[..count] {
        table.fire(visit, event.u64, event.events as u16);
    }
    visit.unlisted - before
}

fn empty() -> Table {
    Table { places: Chunked::new(), private: List::EMPTY }
}

#[test]
fn a_poll_is_registered_and_unlisted_without_a_walk_over_the_others() {
    const MANY: usize = 500;
    let (slab, epoll, file) = (Slab::default(), epoll::create().unwrap(), fd::eventfd().unwrap());
    let (mut table, mut visit) = (empty(), visit(&slab, epoll.raw()));
    let requests: Vec<_> = (0..MANY).map(|_| poll(&slab, file.raw(), POLLIN)).collect();
    let before = steps();
    for request in &requests {
        table.register(&visit, request).unwrap();
    }
    assert_eq!(steps(), before, "registered");
    let (leaving, staying) = requests.split_at(MANY / 2);
    for request in leaving.iter().rev() {
        table.unlist(&mut visit, request);
    }
    assert_eq!(steps(), before, "unlisted");
    fd::eventfd_signal(file.raw());
    assert_eq!(fire_all(&mut table, &mut visit) as usize, staying.len());
    assert!(steps() - before <= 2 * MANY, "a walk over those that wait, no more");
}

#[test]
fn a_number_is_armed_for_what_those_on_it_wait_for() {
    let (slab, epoll) = (Slab::default(), epoll::create().unwrap());
    let (file, peer) = UnixStream::pair().unwrap();
    let fd = file.as_raw_fd();
    let (mut table, mut visit) = (empty(), visit(&slab, epoll.raw()));
    // Writable, but nobody waits for that any more.
    let (reader, writer) = (poll(&slab, fd, POLLIN), poll(&slab, fd, POLLOUT));
    table.register(&visit, reader).unwrap();
    table.register(&visit, writer).unwrap();
    table.unlist(&mut visit, writer);
    assert_eq!(fire_all(&mut table, &mut visit), 0, "an event for nobody");
    assert_eq!(fire_all(&mut table, &mut visit), 0);
    let ready = &mut [libc::epoll_event { events: 0, u64: 0 }];
    assert_eq!(epoll::wait(epoll.raw(), ready, 0), Ok(0), "armed for the reader alone");
    drop(peer);
    assert_eq!(fire_all(&mut table, &mut visit), 1, "the end of the data");
}
