use super::*;
use crate::sys::fd::{self, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// Sleeps, and takes nothing else: whether there was enough.
fn wake_up(instance: &Instance, bag: Option<&mut Bag>) -> Found {
    let has_theirs = bag.is_none();
    let found = instance.unpack(bag, |event| assert_eq!(event.res, 1));
    instance.get_up(has_theirs);
    found
}

fn wait(instance: &Instance, count: u32, span: &timespec) -> (Result<bool>, Found) {
    let mut bag = Bag::new();
    let mut bag = (!instance.fall_asleep()).then_some(&mut bag);
    let slept = instance.sleep(count, BAG, bag.as_deref_mut(), Some(span), None);
    (slept, wake_up(instance, bag))
}

const NOW: timespec = timespec { tv_sec: 0, tv_nsec: 0 };
const LONG: timespec = timespec { tv_sec: 20, tv_nsec: 0 };

fn instance() -> Option<Box<Instance>> {
    cache::acquire(0).ok()
}

const NOTHING: Found = Found { events: 0, others: 0, has_watch: false };
const WATCHED: Found = Found { events: 0, others: 1, has_watch: true };

/// Reads a byte of /dev/zero so many times; `data` counts from 0.
fn read(instance: &Instance, count: u64) {
    let file = std::fs::File::open("/dev/zero").unwrap();
    let mut byte = 0u8;
    for data in 0..count {
        let iocb = Iocb {
            data,
            fildes: std::os::fd::AsRawFd::as_raw_fd(&file),
            buf: (&raw mut byte).addr() as u64,
            nbytes: 1,
            ..Iocb::default()
        };
        let iocbs = [&raw const iocb];
        assert_eq!(instance.submit(1, iocbs.as_ptr().addr()), Ok(1));
    }
}

#[test]
fn sleepers_and_harvests_take_all() {
    let Some(instance) = instance() else { return };
    assert_eq!(wait(&instance, 1, &NOW), (Ok(false), Found::default()));
    read(&instance, 5);
    assert_eq!(wait(&instance, 2, &LONG), (Ok(true), Found { events: 5, ..NOTHING }));
    assert!(!instance.has_events());
    read(&instance, 3);
    assert_eq!(wait(&instance, 4, &NOW), (Ok(false), Found { events: 3, ..NOTHING }));
    for has_sleeper in [false, true] {
        if has_sleeper {
            assert!(instance.fall_asleep());
        }
        // Fewer than the slots: those that another CPU has are not to be had.
        read(&instance, 60);
        let mut found = Vec::new();
        let harvest = instance.harvest(usize::MAX, |event| found.push((event.data, event.res)));
        assert_eq!(harvest, Found { events: 60, ..NOTHING });
        assert!(found.into_iter().eq((0..60).map(|data| (data, 1))));
    }
    wake_up(&instance, None);
    cache::release(instance);
}

#[test]
fn what_a_sleeper_has_left_is_found() {
    let Some(instance) = instance() else { return };
    for count in [3, 0, 5] {
        read(&instance, count);
        assert!(instance.fall_asleep());
        let mut other = Bag::new();
        assert!(!instance.fall_asleep(), "there is one bag");
        let _ = instance.sleep(10, BAG, None, Some(&NOW), None);
        instance.recount();
        let found = wake_up(&instance, None);
        assert_eq!(found, Found { events: count as u32, ..NOTHING });
        wake_up(&instance, Some(&mut other));
    }
    assert!(instance.is_idle());
    cache::release(instance);
}

#[test]
fn the_ring_wraps() {
    let Some(instance) = instance() else { return };
    for _ in 0..20 {
        read(&instance, 50);
        let mut next = 0;
        instance.harvest(usize::MAX, |event| {
            assert_eq!(event.data, next);
            next += 1;
        });
        assert_eq!(next, 50);
    }
    cache::release(instance);
}

#[test]
fn the_ring_turns_to_any_position() {
    let Some(instance) = instance() else { return };
    for position in [5, 5, 0, instance.nr() - 1, 3] {
        assert!(instance.turn(position));
        assert_eq!((instance.posted(), instance.has_events()), (position, false));
    }
    cache::release(instance);
}

#[test]
fn a_kick_wakes_who_waits_for_many() {
    let Some(instance) = instance() else { return };
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let begin = Instant::now();
            (wait(&instance, 40, &LONG), begin.elapsed())
        });
        thread::sleep(Duration::from_millis(20));
        instance.kick(40);
        let (result, slept) = sleeper.join().unwrap();
        assert_eq!(result, (Ok(true), Found { others: 40, ..NOTHING }));
        assert!(slept < Duration::from_secs(15), "{slept:?}");
    });
    cache::release(instance);
}

#[test]
fn a_kick_goes_through_where_the_program_has_taken_the_pipe() {
    let Some(instance) = instance() else { return };
    let number = cache::pipe().unwrap();
    let other = fd::memory_file().unwrap();
    // SAFETY: both numbers are the test's.
    unsafe { libc::dup2(other.raw(), number) };
    instance.kick(1);
    drop(OwnedFd::from_raw(number));
    instance.kick(2);
    let found = instance.harvest(usize::MAX, |event| panic!("{event:?}"));
    assert_eq!(found, Found { others: 3, ..NOTHING });
    assert!(cache::pipe().is_some());
    cache::release(instance);
}

#[test]
fn a_watch_fires_once_and_is_given_up_for_another_descriptor() {
    let Some(instance) = instance() else { return };
    let (first, second) = (fd::eventfd().unwrap(), fd::eventfd().unwrap());
    if !instance.watch(first.raw(), 1) {
        // No IOCB_CMD_POLL before Linux 4.18.
        return;
    }
    assert!(instance.watch(first.raw(), 1), "it is there");
    assert_eq!(wait(&instance, 1, &NOW).0, Ok(false));
    fd::eventfd_signal(first.raw());
    assert_eq!(wait(&instance, 1, &LONG), (Ok(true), WATCHED));
    fd::eventfd_drain(first.raw());
    assert!(instance.watch(first.raw(), 1));
    assert!(!instance.watch(second.raw(), 2), "not at once");
    assert_eq!(wait(&instance, 1, &LONG).0, Ok(true));
    assert!(instance.watch(second.raw(), 2));
    fd::eventfd_signal(second.raw());
    assert_eq!(wait(&instance, 1, &LONG), (Ok(true), WATCHED));
    assert!(instance.is_idle());
    cache::release(instance);
}

#[test]
fn a_harvest_leaves_to_others_what_it_has_no_room_for() {
    let Some(instance) = instance() else { return };
    for has_sleeper in [false, true] {
        assert!(!has_sleeper || instance.fall_asleep());
        read(&instance, 5);
        for (most, expected) in [(2, 2), (0, 0), (2, 2), (2, 1)] {
            let mut data = Vec::new();
            let found = instance.harvest(most, |event| data.push(event.data));
            assert_eq!((found.events, data.len()), (expected, expected as usize), "{has_sleeper}");
        }
        assert!(!instance.has_events());
        if has_sleeper {
            assert_eq!(wake_up(&instance, None), NOTHING);
        }
    }
}
