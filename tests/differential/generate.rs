//! Random programs.
//!
//! What the kernel itself does not do the same each time is left out here, or by the runtime, which
//! knows more. So is what differs on purpose, by the README's table; each place says so.

use crate::program::Program;

/// Where the choices of a program come from.
pub trait Choices {
    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64;

    /// Whether there are any left; without, a program ends.
    fn has_more(&self) -> bool {
        true
    }

    /// True in `percent` of 100 cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// SplitMix64: a few lines, and the same on each machine.
pub struct Random(pub u64);

impl Choices for Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ word >> 31) % limit
    }
}

/// The choices that a fuzzer makes, a byte each; then zeros.
struct Bytes<'a>(&'a [u8]);

impl Choices for Bytes<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        u64::from(*first) % limit
    }

    fn has_more(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The kinds of file in `runtime/files.h`.
const KINDS: u64 = 31;
/// Those that requests are made for most of the time.
const USUAL: [i64; 20] = [0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 12, 12, 13, 14, 14];
const FILES: u64 = 8;
const CLOSED: i64 = 24;
/// From pipes to terminals: what is not always ready.
const STREAMS: std::ops::RangeInclusive<i64> = 9..=18;
const IOCBS: u64 = 16;
const CONTEXTS: u64 = 3;
/// Calls of a program, without the preparation of iocbs.
const MOST_CALLS: u64 = 64;

const READ: i64 = 0;
const WRITE: i64 = 1;
const FSYNC: i64 = 2;
const FDSYNC: i64 = 3;
const POLL: i64 = 5;
const READV: i64 = 7;
const WRITEV: i64 = 8;

/// The choices of a fuzzer: which of `settings`, and the program.
pub fn input<T: Copy>(bytes: &[u8], settings: &[T]) -> (T, Program) {
    let mut choices = Bytes(bytes);
    (choices.one_of(settings), program(&mut choices))
}

/// A program made of `choices`.
pub fn program(choices: &mut impl Choices) -> Program {
    let mut maker = Maker {
        choices,
        program: Program::default(),
        kinds: [CLOSED; FILES as usize],
        is_set_up: [false; CONTEXTS as usize],
        polls: Vec::new(),
    };
    maker.setup(0);
    if maker.choices.chance(40) {
        maker.setup(1);
    }
    for number in 0..4 + maker.choices.below(FILES - 3) {
        maker.file(number as i64);
    }
    for _ in 0..4 + maker.choices.below(MOST_CALLS - 8) {
        if maker.choices.has_more() {
            maker.step();
        }
    }
    maker.program
}

struct Maker<'a, C> {
    choices: &'a mut C,
    program: Program,
    /// What each file was opened as.
    kinds: [i64; FILES as usize],
    /// Contexts that live, unless their set-up was refused.
    is_set_up: [bool; CONTEXTS as usize],
    /// Iocbs that were polls.
    polls: Vec<i64>,
}

impl<C: Choices> Maker<'_, C> {
    fn thread(&mut self) -> i64 {
        if self.choices.chance(80) { 0 } else { self.choices.below(3) as i64 }
    }

    /// One that lives, most of the time.
    fn context(&mut self) -> i64 {
        let is_set_up = |number: &u64| self.is_set_up[*number as usize];
        let living: Vec<_> = (0..CONTEXTS).filter(is_set_up).collect();
        match living.is_empty() || self.choices.chance(5) {
            true => self.choices.below(CONTEXTS) as i64,
            false => self.choices.one_of(&living) as i64,
        }
    }

    /// One that was opened, most of the time.
    fn any_file(&mut self) -> i64 {
        let is_open = |number: &u64| self.kinds[*number as usize] != CLOSED;
        let open: Vec<_> = (0..FILES).filter(is_open).collect();
        match open.is_empty() || self.choices.chance(5) {
            true => self.choices.below(FILES) as i64,
            false => self.choices.one_of(&open) as i64,
        }
    }

    /// One that may have to be waited for, if there is one.
    fn stream(&mut self) -> i64 {
        let is_stream = |number: &u64| STREAMS.contains(&self.kinds[*number as usize]);
        let streams: Vec<_> = (0..FILES).filter(is_stream).collect();
        match streams.is_empty() || self.choices.chance(25) {
            true => self.any_file(),
            false => self.choices.one_of(&streams) as i64,
        }
    }

    fn via(&mut self) -> i64 {
        if self.choices.chance(70) { 0 } else { self.choices.below(5) as i64 }
    }

    fn setup(&mut self, context: i64) {
        let (thread, via) = (self.thread(), self.choices.below(3) as i64);
        // More would take the machine's contexts away from other tests.
        let nr = match self.choices.chance(90) {
            true => self.choices.one_of(&[1, 4, 8, 62, 63, 64, 100, 128]),
            false => {
                self.choices.one_of(&[0, -1, -1000, 0x40_0001, i32::MIN.into(), i32::MAX.into()])
            }
        };
        let target = if self.choices.chance(96) { 0 } else { 1 + self.choices.below(5) as i64 };
        self.is_set_up[context as usize] |= nr > 0 && nr < 1000 && target == 0;
        self.program.call("setup", &[thread, context, via, nr, target]);
    }

    fn file(&mut self, number: i64) {
        let kind = match self.choices.chance(75) {
            true => self.choices.one_of(&USUAL),
            false => match self.choices.below(KINDS) as i64 {
                // What goes through a terminal comes when a thread of the kernel has time.
                17 | 18 => 9,
                kind => kind,
            },
        };
        let is_nonblocking = i64::from(self.choices.chance(85));
        self.kinds[number as usize] = kind;
        self.program.call("file", &[number, kind, is_nonblocking]);
    }

    /// One call, with what it needs.
    fn step(&mut self) {
        match self.choices.below(100) {
            0..=37 => self.submit(),
            38..=49 => self.getevents(),
            50..=57 => {
                let (thread, context, via) = (self.thread(), self.context(), self.via());
                self.program.call("collect", &[thread, context, via]);
            }
            58..=62 => self.cancel(),
            63..=64 => {
                let (thread, context) = (self.thread(), self.context());
                let (via, forgets) = (self.choices.below(3) as i64, self.choices.below(2) as i64);
                self.program.call("destroy", &[thread, context, via, forgets]);
                self.is_set_up[context as usize] = false;
                if self.choices.chance(70) {
                    self.setup(context);
                }
            }
            65..=67 => {
                let context = self.choices.below(CONTEXTS) as i64;
                self.setup(context);
            }
            68..=69 => {
                let (thread, context, file) = (self.thread(), self.context(), self.any_file());
                self.program.call("queue_run", &[thread, context, file]);
            }
            70 => {
                let (thread, context) = (self.thread(), self.context());
                let timeout = self.choices.one_of(&[-1, 0, 3]);
                self.program.call("queue_wait", &[thread, context, timeout]);
            }
            71..=73 => {
                let (context, count) = (self.context(), self.choices.below(8) as i64);
                self.program.call("head", &[context, count]);
            }
            74..=76 => {
                let (context, via) = (self.context(), self.choices.below(4) as i64);
                let (min, what) = (self.choices.below(2) as i64, self.choices.below(4) as i64);
                let file = self.any_file();
                self.program.call("meet", &[context, via, min, what, file]);
            }
            77..=78 => {
                let (context, what) = (self.context(), self.choices.below(6) as i64);
                self.program.call("child", &[context, what]);
            }
            _ => self.action(),
        }
    }

    /// Something beside the library.
    fn action(&mut self) {
        let file = self.any_file();
        match self.choices.below(30) {
            0..=7 => {
                let count = self.choices.one_of(&[0, 7, 100, 4999]);
                self.program.call("feed", &[file, count]);
            }
            8..=10 => self.program.call("drain", &[file]),
            11..=12 => self.program.call("fill", &[file]),
            13 => self.program.call("hang_up", &[file]),
            14..=15 => {
                self.program.call("shut", &[file]);
                if self.choices.chance(70) {
                    self.file(file);
                }
            }
            16..=17 => {
                let by = self.any_file();
                self.program.call("replace", &[file, by]);
            }
            18..=20 => {
                let (which, is_on) = (self.choices.below(2) as i64, self.choices.below(2) as i64);
                self.program.call("flag", &[file, which, is_on]);
            }
            21..=22 => {
                let size = self.choices.one_of(&[0, 512, 8192, 65536, 100_000, 131_072]);
                self.program.call("cut", &[file, size]);
            }
            23 => {
                let size = self.choices.one_of(&[0, 0, 4096, 66_000]);
                self.program.call("limit", &[size]);
            }
            24 => self.program.call("interrupt", &[0]),
            25 => {
                let is_blocked = self.choices.below(2) as i64;
                self.program.call("mask", &[is_blocked]);
            }
            26..=27 => self.program.call("count", &[file]),
            _ => self.file(file),
        }
    }

    fn submit(&mut self) {
        let count = match self.choices.chance(50) {
            true => 1,
            false => 1 + self.choices.below(7),
        };
        let first = self.choices.below(IOCBS);
        let mut slots = Vec::new();
        for position in 0..count {
            let slot = ((first + position) % IOCBS) as i64;
            if self.choices.chance(93) {
                self.iocb(slot);
            }
            slots.push(slot);
            if self.choices.chance(4) {
                slots.push(slot);
            }
        }
        let (thread, context) = (self.thread(), self.context());
        let via = i64::from(self.choices.chance(20));
        let nr = match self.choices.chance(95) {
            true => -1000,
            false => self.choices.one_of(&[-1, 0, 1, i64::MIN]),
        };
        let bad = if self.choices.chance(94) { 0 } else { 1 + self.choices.below(6) as i64 };
        let mut arguments = vec![thread, context, via, nr, bad, slots.len() as i64];
        arguments.extend(slots);
        self.program.call("submit", &arguments);
    }

    fn iocb(&mut self, slot: i64) {
        let opcode = match self.choices.below(100) {
            0..=29 => READ,
            30..=56 => WRITE,
            57..=62 => READV,
            63..=68 => WRITEV,
            69..=75 => FSYNC,
            76..=81 => FDSYNC,
            82..=96 => POLL,
            _ => self.choices.one_of(&[4, 6, 9, 99, -1]),
        };
        let file = if self.choices.chance(97) { self.any_file() } else { -1 };
        let mut flags = 0;
        let mut resfd = 0;
        if self.choices.chance(18) {
            flags |= 1;
            resfd = if self.choices.chance(95) { self.any_file() } else { -1 };
        }
        if self.choices.chance(4) {
            flags |= 2;
        }
        if self.choices.chance(3) {
            flags |= self.choices.one_of(&[4, 0xffff_fffc]);
        }
        let bad = if self.choices.chance(95) { 0 } else { 1 + self.choices.below(6) as i64 };
        if opcode == POLL {
            let masks = [1, 1, 1, 4, 4, 5, 0, 2, 0x40, 0x2001, 0x1000, 0x1_0001, -1];
            let (events, file) = (self.choices.one_of(&masks), self.stream());
            self.polls.push(slot);
            return self
                .program
                .call("iocb", &[slot, POLL, file, 0, events, 0, flags, 0, resfd, bad]);
        }
        let mut rwf = 0;
        if self.choices.chance(18) {
            rwf = self
                .choices
                .one_of(&[1, 2, 4, 8, 8, 0x10, 0x10, 0x20, 0x30, 0x40, 0x80, 0x100, 0x100, 0x200]);
        }
        // README: with these flags and another error, which of them is told may differ; and a
        // transfer of nothing.
        let is_plain = rwf & (8 | 0x40 | 0x80) != 0;
        let bad = if is_plain { 0 } else { bad };
        let buffer = match is_plain || self.choices.chance(92) {
            true => 0,
            false => 1 + self.choices.below(9) as i64,
        };
        let mut length = self.choices.one_of(&[0, 1, 8, 8, 100, 512, 512, 4096, 4096, 8192, 16384]);
        if is_plain && length == 0 {
            length = 512;
        }
        let offset = match is_plain || self.choices.chance(95) {
            true => self.choices.one_of(&[
                0,
                0,
                512,
                4096,
                8192,
                12288,
                32768,
                49152,
                61440,
                65024,
                65536,
                69632,
                100,
                1 << 20,
            ]),
            false => self.choices.one_of(&[-1, i64::MAX - 100, i64::MAX, i64::MIN]),
        };
        self.program
            .call("iocb", &[slot, opcode, file, buffer, length, offset, flags, rwf, resfd, bad]);
    }

    fn getevents(&mut self) {
        let (thread, context, via) = (self.thread(), self.context(), self.via());
        let min = self.choices.one_of(&[0, 0, 1, 1, 2, 3, 5, -1, i64::MAX]);
        let nr = self.choices.one_of(&[0, 1, 1, 2, 4, 8, 64, -1, i64::MAX]);
        let timeout = self.choices.one_of(&[0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
        let bad = if self.choices.chance(93) { 0 } else { 1 + self.choices.below(6) as i64 };
        let mask = match self.choices.chance(90) {
            true => self.choices.below(3) as i64,
            false => 3 + self.choices.below(6) as i64,
        };
        self.program.call("getevents", &[thread, context, via, min, nr, timeout, bad, mask]);
    }

    fn cancel(&mut self) {
        let (thread, context) = (self.thread(), self.context());
        let via = self.choices.one_of(&[0, 0, 1, 4]);
        let slot = match self.choices.chance(92) {
            true if !self.polls.is_empty() && self.choices.chance(75) => {
                self.choices.one_of(&self.polls.clone())
            }
            true => self.choices.below(IOCBS) as i64,
            false => -1 - self.choices.below(4) as i64,
        };
        self.program.call("cancel", &[thread, context, via, slot]);
    }
}
