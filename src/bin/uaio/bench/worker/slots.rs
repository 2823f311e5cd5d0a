//! Iocbs with their buffers, one slot for each request in flight.
//!
//! A slot belongs to whoever prepares it until it is submitted, and from then on to whoever reaps
//! its event. The memory is never given back: when something fails, a library's thread may still
//! write to it, and the process ends anyway.

use std::cell::UnsafeCell;

use aio::aio_abi::{Event, Iocb};

use super::{Outcome, Stop};

/// O_DIRECT wants buffers at multiples of the file system's block size.
const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Page(#[allow(dead_code, reason = "reached through its address")] [u8; PAGE]);

/// One request.
#[repr(C)]
pub struct Slot {
    /// What is submitted. First, so that its address is the slot's.
    pub iocb: Iocb,
    /// When it was submitted, if it is timed.
    pub start: Option<u64>,
    /// The result that its event must have.
    pub expected: i64,
    /// Its buffer, which an fdsync does not name.
    pub buffer: *mut u64,
}

/// All slots of a context.
pub struct Slots {
    slots: &'static [UnsafeCell<Slot>],
}

// SAFETY: `&Slots` gives out raw pointers only; who follows one vouches for owning the slot.
unsafe impl Sync for Slots {}

impl Slots {
    /// `count` slots whose iocbs name a buffer of `size` bytes each.
    pub fn new(count: usize, size: usize) -> Slots {
        let pages = size.div_ceil(PAGE);
        let buffers: Vec<UnsafeCell<Page>> =
            (0..count * pages).map(|_| UnsafeCell::new(Page([0x5a; PAGE]))).collect();
        let buffers: &[UnsafeCell<Page>] = buffers.leak();
        let slots: Vec<UnsafeCell<Slot>> = buffers
            .chunks_exact(pages)
            .zip(0..)
            .map(|(buffer, data)| {
                let buffer = buffer.as_ptr().cast_mut().cast::<u64>();
                let (buf, nbytes) = (buffer as u64, size as u64);
                let iocb = Iocb { data, buf, nbytes, ..Iocb::default() };
                UnsafeCell::new(Slot { iocb, start: None, expected: size as i64, buffer })
            })
            .collect();
        Slots { slots: slots.leak() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot, for its owner; NULL if there is none.
    pub fn pointer(&self, index: usize) -> *mut Slot {
        self.slots.get(index).map_or(std::ptr::null_mut(), UnsafeCell::get)
    }

    /// The iocb, to be submitted.
    pub fn iocb(&self, index: usize) -> *mut Iocb {
        self.pointer(index).cast()
    }

    /// The slot, where no other thread uses them.
    pub fn get(&mut self, index: usize) -> Outcome<&mut Slot> {
        // SAFETY: `self` is borrowed exclusively, so that no other reference exists; a library
        // does not touch an iocb after io_submit, and the slot lives as long as the process.
        let slot = unsafe { self.pointer(index).as_mut() };
        slot.ok_or_else(|| Stop::Fail(format!("an event names request {index}, which is none")))
    }

    /// The slot that `event` belongs to, once it is clear that it is right.
    pub fn claim(&mut self, event: &Event) -> Outcome<(usize, &mut Slot)> {
        let index = self.index_of(event)?;
        let slot = self.get(index)?;
        check(event, slot.expected)?;
        Ok((index, slot))
    }

    /// The index in the event, if its iocb is the slot's.
    pub fn index_of(&self, event: &Event) -> Outcome<usize> {
        let index = event.data as usize;
        if event.obj != self.iocb(index) as u64 {
            return Err(Stop::Fail(format!("an event names a foreign iocb: {event:?}")));
        }
        Ok(index)
    }
}

/// Fails unless the event says that everything was done.
pub fn check(event: &Event, expected: i64) -> Outcome {
    if event.res == expected && event.res2 == 0 {
        return Ok(());
    }
    let res = match i32::try_from(-event.res) {
        Ok(errno @ 1..4096) => crate::failure::reason(&std::io::Error::from_raw_os_error(errno)),
        _ => event.res.to_string(),
    };
    Err(Stop::Fail(format!("a request ended with {res} instead of {expected}")))
}

impl Slot {
    /// Puts `mark` into the first block of the buffer, `mark + 1` into the second, and so on.
    pub fn put_marks(&mut self, mark: u64) {
        for block in 0..(self.iocb.nbytes as usize).div_ceil(PAGE) {
            // SAFETY: the buffer has this many pages, lives for ever, and is the slot owner's.
            unsafe {
                let place = self.buffer.byte_add(block * PAGE);
                place.write_volatile(mark + block as u64);
            }
        }
    }

    /// The mark in the first block.
    pub fn mark(&self) -> u64 {
        // SAFETY: as in `put_marks`.
        unsafe { self.buffer.read_volatile() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_must_fit_its_request() {
        let mut slots = Slots::new(2, 2 * PAGE);
        let right = Event { data: 1, obj: slots.iocb(1) as u64, res: 2 * PAGE as i64, res2: 0 };
        assert!(slots.claim(&right).is_ok_and(|(index, _)| index == 1));
        for wrong in [
            Event { data: 0, ..right },
            Event { data: 2, obj: 0, ..right },
            Event { obj: right.obj + 64, ..right },
            Event { res: PAGE as i64, ..right },
            Event { res: -5, ..right },
            Event { res2: 1, ..right },
        ] {
            assert!(slots.claim(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn buffers_are_apart_and_aligned() {
        let mut slots = Slots::new(3, 2 * PAGE);
        let mut places = Vec::new();
        for index in 0..3 {
            let Ok(slot) = slots.get(index) else { panic!("no slot {index}") };
            slot.put_marks(index as u64 * 10);
            places.push(slot.iocb.buf);
        }
        assert!(places.iter().all(|place| place % PAGE as u64 == 0));
        for (index, place) in places.iter().enumerate() {
            // SAFETY: these are the buffers of live slots.
            let marks = unsafe {
                let first = *place as *const u64;
                [first.read(), first.byte_add(PAGE).read()]
            };
            assert_eq!(marks, [index as u64 * 10, index as u64 * 10 + 1]);
        }
    }
}
