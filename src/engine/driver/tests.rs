use super::*;
use crate::request::Work;
use crate::request::state::Put;

fn lane() -> &'static Lane {
    // SAFETY: all-zero memory is a closed one, of either.
    let completions: Box<Completions> = Box::new(unsafe { core::mem::zeroed() });
    // SAFETY: as above.
    let lane: Box<(Lane, pool::Lane)> = Box::new(unsafe { core::mem::zeroed() });
    let lane = Box::leak(lane);
    lane.0.open(Box::leak(completions), &lane.1);
    &lane.0
}

fn request(lane: &'static Lane, iocb: usize) -> &'static Request {
    let task = Task::Sync { data_only: false };
    let work = Work { data: 0, iocb, number: -1, task };
    let request = lane.completions().slab.insert(work).unwrap();
    request.state.arm();
    lane.pending.fetch_add(1, Ordering::Relaxed);
    request
}

fn iocb(flight: Option<Flight>) -> usize {
    flight.unwrap().request.work().unwrap().iocb
}

#[test]
fn lanes_take_turns() {
    let (one, two) = (lane(), lane());
    let mut queue = Queue::NOTHING;
    for number in [1, 2, 3] {
        queue.push(one, request(one, number));
    }
    queue.push(two, request(two, 4));
    let order: Vec<usize> = (0..4).map(|_| iocb(queue.pop())).collect();
    assert_eq!(order, [1, 4, 2, 3]);
    assert!(queue.pop().is_none() && queue.head.is_null() && queue.tail.is_null());
    queue.push(two, request(two, 5));
    assert_eq!(iocb(queue.pop()), 5);
}

#[test]
fn only_what_waits_can_be_cancelled() {
    let lane = lane();
    let mut queue = Queue::NOTHING;
    let (first, second) = (request(lane, 1), request(lane, 2));
    queue.push(lane, first);
    queue.push(lane, second);
    assert_eq!(iocb(queue.pop()), 1);
    assert_eq!(lane.cancel(first), Claim::Lost);
    assert_eq!(lane.cancel(second), Claim::Won);
    assert_eq!(lane.pending.load(Ordering::Relaxed), 1);
    // The lane is in the queue without a request.
    assert!(!queue.head.is_null() && queue.pop().is_none());
    assert_eq!(first.state.put(), Put::Shared);
}

#[test]
fn a_wait_for_the_lane_ends_with_its_last_request() {
    let lane = lane();
    request(lane, 1);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lane.finish());
        while lane.awaited.load(Ordering::Relaxed) == 0 {
            thread::give_way();
        }
        assert!(!waiter.is_finished());
        lane.left();
    });
    assert_eq!(lane.awaited.load(Ordering::Relaxed), 0);
}

#[test]
fn places_in_the_instance_are_used_again() {
    let lane = lane();
    let flight = Flight { lane, request: request(lane, 1) };
    let mut flights = Flights::new();
    let numbers: Vec<u64> = (0..MOST).map(|_| flights.add(flight).unwrap()).collect();
    assert!(flights.add(flight).is_none());
    assert!(flights.remove(CALLED).is_none());
    for number in numbers {
        assert!(flights.remove(number).is_some());
        assert!(flights.remove(number).is_none());
    }
    assert!(flights.is_empty());
}

#[test]
fn a_call_ends_the_sleep_in_the_instance() {
    let section = fork_gate::enter();
    let Ok(instance) = cache::make(128, Sharing::Driver, &section) else { return };
    drop(section);
    let word = AtomicU32::new(ASLEEP);
    let entry = [Sqe::futex_wait(&word, ASLEEP).marked(CALLED)];
    let moment = timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    let mut seen = [(0, 0); 4];
    assert_eq!(instance.submit_and_wait(&entry, Some(&moment)).0, 1);
    if instance.take(&mut seen) == 1 {
        // Linux before 6.7.
        assert_eq!(seen[0], (CALLED, Errno::INVAL.to_return()));
        return;
    }
    assert_eq!(instance.submit_and_wait(&[], Some(&moment)), (0, Err(Errno::TIME)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            word.store(AWAKE, Ordering::Relaxed);
            futex::wake(&word, u32::MAX);
        });
        while instance.take(&mut seen) == 0 {
            let _ = instance.submit_and_wait(&[], Some(&PATIENCE));
        }
    });
    assert_eq!(seen[0], (CALLED, 0));
    // Who comes too late to sleep is told at once.
    assert_eq!(instance.submit_and_wait(&entry, Some(&PATIENCE)), (1, Ok(())));
    assert_eq!(instance.take(&mut seen), 1);
    assert_eq!(seen[0], (CALLED, Errno::AGAIN.to_return()));
}
