use super::*;
use crate::process::fork_gate;
use crate::sys::fd;

fn instance() -> Option<Instance> {
    Instance::new(128).ok()
}

fn nop(user_data: u64) -> Sqe {
    Sqe::nop().marked(user_data)
}

fn harvested(instance: &Instance) -> Vec<u64> {
    let mut seen = Vec::new();
    instance.harvest(|cqe| seen.push(cqe.user_data));
    seen
}

#[test]
fn everything_submitted_comes_back_once() {
    let Some(instance) = instance() else { return };
    for round in 0..100 {
        // More than the queue holds.
        let (done, result) = instance.submit(100, |index| nop(round * 100 + index as u64));
        assert_eq!((done, result), (100, Ok(())));
        assert!(instance.any(|cqe| cqe.user_data == round * 100 + 99));
        let expected: Vec<u64> = (round * 100..round * 100 + 100).collect();
        assert_eq!(harvested(&instance), expected);
    }
}

#[test]
fn completions_that_do_not_fit_are_kept() {
    let Some(instance) = instance() else { return };
    for first in 0..10 {
        assert_eq!(instance.submit(50, |index| nop(first * 50 + index as u64)), (50, Ok(())));
    }
    assert_eq!(harvested(&instance), (0..500).collect::<Vec<u64>>());
    assert!(!instance.has_completions());
}

#[test]
fn a_wait_ends_with_enough_completions_or_the_timeout() {
    let Some(instance) = instance() else { return };
    let moment = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    assert_eq!(instance.wait(1, Some(&moment), None), Err(Errno::TIME));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| instance.wait(3, None, None));
        instance.kick(3);
        assert_eq!(waiter.join().unwrap(), Ok(()));
    });
    assert_eq!(harvested(&instance), [KICK; 3]);
}

#[test]
fn a_descriptor_that_was_replaced_is_not_entered_and_not_closed() {
    let Some(instance) = instance() else { return };
    let other = fd::eventfd().unwrap();
    let number = instance.descriptor();
    // SAFETY: both numbers are of this test.
    unsafe { libc::dup2(other.raw(), number) };
    assert_eq!(instance.submit(1, |_| nop(1)), (0, Err(Errno::BADF)));
    drop(instance);
    assert!(fd::is_eventfd(number));
    fd::close(number);
}

#[test]
fn a_registered_instance_works_without_its_descriptor() {
    crate::process::fork_generation::begin().unwrap();
    let Some(instance) = instance() else { return };
    for index in 0..10 {
        assert_eq!(instance.submit(1, |_| nop(index)), (1, Ok(())));
    }
    fd::close(instance.descriptor());
    assert_eq!(instance.submit(1, |_| nop(10)), (1, Ok(())));
    assert_eq!(harvested(&instance).len(), 11);
}

#[test]
fn instances_wait_for_their_next_context() {
    let section = fork_gate::enter();
    let Ok(instance) = cache::acquire(256, &section) else { return };
    let id = instance.id;
    cache::release(instance, &section);
    let again = cache::acquire(256, &section).unwrap();
    assert_eq!(again.id, id);
    let number = again.descriptor();
    cache::release(again, &section);
    drop(section);
    cache::clear();
    assert!(fd::status_flags(number).is_err());
}
