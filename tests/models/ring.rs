//! `src/completion/ring/queue.rs` between those who submit, those who complete, those who take
//! events, and a program that takes events by itself. loom sees whether an event is read before it
//! is written completely, and whether a slot is written while somebody reads it.

use loom::sync::Arc;
use loom::thread;

use crate::aio_abi::Event;
use crate::explore;
use crate::sync::Ordering;
use queue::Queue;

#[path = "../../src/completion/ring/queue.rs"]
mod queue;

/// What `queue.rs` takes from its neighbour: the memory of the ring.
pub mod memory {
    use loom::cell::UnsafeCell;

    use crate::aio_abi::Event;
    use crate::sync::AtomicU32;

    const SLOTS: usize = 3;

    #[derive(Debug, Default)]
    pub struct Memory {
        head: AtomicU32,
        tail: AtomicU32,
        slots: [UnsafeCell<Event>; SLOTS],
    }

    // SAFETY: the cells are loom's, which looks for accesses at the same time.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub fn head(&self) -> &AtomicU32 {
            &self.head
        }

        pub fn tail(&self) -> &AtomicU32 {
            &self.tail
        }

        pub unsafe fn write(&self, index: u32, event: Event) {
            // SAFETY: loom looks whether somebody else is there.
            self.slots[index as usize].with_mut(|slot| unsafe { *slot = event });
        }

        pub unsafe fn read(&self, index: u32) -> Event {
            // SAFETY: as above.
            self.slots[index as usize].with(|slot| unsafe { *slot })
        }
    }
}

/// Three slots, of which requests may hold two.
fn ring() -> Arc<Queue> {
    let queue = Queue::default();
    queue.open(3, 2);
    Arc::new(queue)
}

/// Submits and completes `events`, as often as there is a slot; how many.
fn submit(ring: &Queue, events: &[Event]) -> usize {
    let checked = events.iter().take_while(|_| ring.reserve().is_ok()).count();
    events.iter().take(checked).for_each(|event| ring.post(*event));
    checked
}

fn take(ring: &Queue, most: usize) -> Vec<Event> {
    let mut taken = Vec::new();
    let count = ring.take(most, |_, _, event| {
        taken.push(event);
        Ok(())
    });
    assert_eq!(count, Ok(taken.len()));
    taken
}

/// Takes one event as a program does that reads the ring: by the shared head and tail.
fn peek(ring: &Queue) -> Option<Event> {
    let memory = ring.memory();
    let head = memory.head().load(Ordering::Relaxed);
    // Acquire: what programs do; pairs with the Release in `post`.
    if memory.tail().load(Ordering::Acquire) == head {
        return None;
    }
    // SAFETY: loom looks.
    let event = unsafe { memory.read(head) };
    // Release: what programs do; pairs with the Acquire in `occupancy`.
    memory.head().store((head + 1) % 3, Ordering::Release);
    Some(event)
}

#[test]
fn slots_are_used_again_after_their_events_were_taken() {
    explore(3, || {
        let ring = ring();
        let other = ring.clone();
        let consumer = thread::spawn(move || {
            let mut taken = take(&other, 1);
            taken.extend(take(&other, 2));
            taken
        });
        let mut checked = submit(&ring, &[Event(1), Event(2)]);
        assert_eq!(checked, 2);
        checked += submit(&ring, &[Event(3), Event(4)]);
        let mut taken = consumer.join().unwrap();
        taken.extend(take(&ring, 3));
        let expected: Vec<_> = (1..=checked as u64).map(Event).collect();
        assert_eq!(taken, expected);
        assert_eq!(ring.occupancy(), 0);
    });
}

#[test]
fn a_program_that_reads_the_ring_sees_whole_events_and_frees_their_slots() {
    explore(3, || {
        let ring = ring();
        let other = ring.clone();
        let program = thread::spawn(move || {
            let first = peek(&other);
            [first, peek(&other)]
        });
        let mut checked = submit(&ring, &[Event(1), Event(2)]);
        checked += submit(&ring, &[Event(3)]);
        let mut taken: Vec<_> = program.join().unwrap().into_iter().flatten().collect();
        taken.extend(take(&ring, 3));
        let expected: Vec<_> = (1..=checked as u64).map(Event).collect();
        assert_eq!(taken, expected);
    });
}

#[test]
fn two_producers_and_a_consumer_that_frees_slots_for_both() {
    explore(2, || {
        let ring = ring();
        assert_eq!(submit(&ring, &[Event(1), Event(2)]), 2);
        let (left, right) = (ring.clone(), ring.clone());
        let left = thread::spawn(move || submit(&left, &[Event(3)]));
        let right = thread::spawn(move || submit(&right, &[Event(4)]));
        let mut taken = take(&ring, 2);
        let checked = left.join().unwrap() + right.join().unwrap();
        taken.extend(take(&ring, 3));
        assert_eq!(taken.len(), 2 + checked);
        // All slots have come back, and no more.
        assert_eq!(submit(&ring, &[Event(5), Event(6)]), 2);
        assert!(ring.reserve().is_err());
    });
}

#[test]
fn two_consumers_share_the_events() {
    explore(3, || {
        let ring = ring();
        assert_eq!(submit(&ring, &[Event(1), Event(2)]), 2);
        let other = ring.clone();
        let consumer = thread::spawn(move || take(&other, 2));
        let mut taken = take(&ring, 2);
        taken.extend(consumer.join().unwrap());
        taken.sort();
        assert_eq!(taken, [Event(1), Event(2)]);
    });
}
