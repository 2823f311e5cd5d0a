//! What the driver has submitted, by number.

use crate::engine::driver::{Flight, MOST};

/// Requests in the instance, each in a place whose number is its `user_data`.
pub(super) struct Flights {
    places: [Option<Flight>; MOST],
    /// Numbers of the free places.
    free: [u16; MOST],
    pub(super) free_count: usize,
}

impl Flights {
    pub(super) fn new() -> Flights {
        let free = core::array::from_fn(|index| index as u16);
        Flights { places: [None; MOST], free, free_count: MOST }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free_count == MOST
    }

    pub(super) fn add(&mut self, flight: Flight) -> Option<u64> {
        let number = *self.free.get(self.free_count.checked_sub(1)?)?;
        *self.places.get_mut(usize::from(number))? = Some(flight);
        self.free_count -= 1;
        Some(u64::from(number))
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Flight> {
        let flight = self.places.get_mut(usize::try_from(number).ok()?)?.take()?;
        *self.free.get_mut(self.free_count)? = number as u16;
        self.free_count += 1;
        Some(flight)
    }
}
