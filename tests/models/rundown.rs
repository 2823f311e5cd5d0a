//! `src/process/rundown.rs` between harvesters and who takes away what they harvest. loom sees whether a
//! harvester touches it while it is being taken away, or sees it half made.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::explore;
use crate::process::rundown::Rundown;

/// A source, whose memory stays; `made` is what `close_and_wait` is there to take away.
#[derive(Default)]
struct Source {
    rundown: Rundown,
    made: UnsafeCell<u32>,
}

// SAFETY: the cell is loom's, which looks for accesses at the same time.
unsafe impl Sync for Source {}

impl Source {
    fn make(&self, value: u32) {
        // SAFETY: nobody is inside, which loom checks.
        self.made.with_mut(|made| unsafe { *made = value });
    }

    /// What a harvester finds; 0 if it is closed.
    fn look(&self) -> u32 {
        let mut found = 0;
        self.rundown.enter(|| {
            // SAFETY: nobody makes it or takes it away meanwhile, which loom checks.
            found = self.made.with(|made| unsafe { *made });
        });
        found
    }
}

#[test]
fn what_is_closed_is_taken_away_under_nobody() {
    explore(3, || {
        let source = Arc::new(Source::default());
        source.make(1);
        let harvesters = [(), ()].map(|()| {
            let source = source.clone();
            thread::spawn(move || source.look())
        });
        source.rundown.close_and_wait();
        source.make(0);
        for harvester in harvesters {
            assert!(harvester.join().unwrap() <= 1);
        }
    });
}

#[test]
fn a_late_harvester_sees_what_was_made_before_it_was_opened() {
    explore(3, || {
        let source = Arc::new(Source::default());
        source.rundown.close_and_wait();
        let harvester = {
            let source = source.clone();
            thread::spawn(move || [source.look(), source.look()])
        };
        source.make(2);
        source.rundown.open();
        let found = harvester.join().unwrap();
        assert!(found.iter().all(|made| [0, 2].contains(made)), "{found:?}");
        assert!(found[1] >= found[0]);
        source.rundown.close_and_wait();
        source.make(0);
    });
}

#[test]
fn it_is_opened_again_while_a_late_harvester_leaves() {
    explore(3, || {
        let source = Arc::new(Source::default());
        source.make(1);
        let harvester = {
            let source = source.clone();
            thread::spawn(move || source.look())
        };
        source.rundown.close_and_wait();
        source.make(2);
        source.rundown.open();
        assert!(harvester.join().unwrap() <= 2);
        assert_eq!(source.look(), 2);
    });
}
