//! Memory for completion rings, mapped twice: the program's view, whose address is the context, and
//! the library's own, which stays valid when the program moves or unmaps its view, and which a
//! forked child does not inherit.
//!
//! Rings are carved from arenas, so that thousands of contexts cost a handful of mappings. A
//! mapping per context would end at vm.max_map_count. Of the program's view only the rings in use
//! can be touched, so that a program that moves its ring finds its end, and takes nothing else
//! along.
//!
//! Where a sandbox lets nothing be mapped twice, both views are one. A program that unmaps its ring
//! crashes in the next call then.
//!
//! *Locks*: the registry holds its set-up lock around every call.

use bytemuck::Zeroable;

use crate::sys::errno::{Errno, Result};
use crate::sys::mmap::{self, Protection};

/// Bytes in a page of a ring.
pub const PAGE: usize = 4096;

const WORDS: usize = 64;
const MAX_PAGES: usize = WORDS * 64;
const FIRST_PAGES: usize = 16;
/// Rings up to this size keep their memory for the next one, which clears it.
const KEPT_PAGES: usize = 1;

/// The memory of one ring.
#[derive(Clone, Copy, Debug, Default, Zeroable)]
pub struct Region {
    /// Where the program sees it.
    pub user: usize,
    /// Where the library sees it.
    pub library: usize,
    /// Its length in pages.
    pub pages: usize,
}

impl Region {
    /// Whether both views are one.
    pub fn has_one_view(&self) -> bool {
        self.user == self.library
    }
}

/// What the program did with its view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Nothing.
    AtHome,
    /// It was moved to this address.
    Moved(usize),
    /// It is gone, or something else is there.
    Gone,
    /// The same, but the program has done nothing: it was given away, and somebody was quicker than
    /// us.
    Lost,
}

/// A range of pages mapped twice, or once.
#[derive(Debug)]
struct Arena {
    user: usize,
    library: usize,
    pages: usize,
    /// Pages given out, and pages whose address the program took away for good.
    used: usize,
    /// Pages of `used` that are not coming back.
    lost: usize,
    taken: [u64; WORDS],
    /// Pages of the program's view that are not ours any more.
    foreign: [u64; WORDS],
    /// The program may have taken others along.
    is_torn: bool,
    /// One ring larger than the bitmap has the arena for itself.
    is_single: bool,
    /// All of the program's view can be touched: a sandbox refuses to take it away.
    is_open: bool,
}

impl Arena {
    fn new(pages: usize, is_single: bool) -> Result<Arena> {
        match mmap::twins(pages * PAGE) {
            Ok((user, library)) => Arena::of(user, library, pages, is_single),
            Err(Errno::NOMEM) => Err(Errno::NOMEM),
            Err(_) => {
                let only = mmap::shared(pages * PAGE)?;
                Arena::of(only, only, pages, is_single)
            }
        }
    }

    fn of(user: usize, library: usize, pages: usize, is_single: bool) -> Result<Arena> {
        let len = pages * PAGE;
        let mut arena = Arena {
            user,
            library,
            pages,
            used: 0,
            lost: 0,
            taken: [0; WORDS],
            foreign: [0; WORDS],
            is_torn: false,
            is_single,
            is_open: user == library,
        };
        if arena.is_open {
            return Ok(arena);
        }
        match mmap::protect(user, len, Protection::None) {
            Err(Errno::NOMEM) => {
                arena.unmap();
                return Err(Errno::NOMEM);
            }
            protected => arena.is_open = protected.is_err(),
        }
        // Only a saving: a child finds no context to use the view with.
        let _ = mmap::dont_fork(library, len);
        Ok(arena)
    }

    fn is_taken(&self, page: usize) -> bool {
        self.taken[page / 64] & 1 << (page % 64) != 0
    }

    fn mark(&mut self, first: usize, pages: usize, taken: bool) {
        for page in first..first + pages {
            let bit = 1 << (page % 64);
            if taken {
                self.taken[page / 64] |= bit;
            } else {
                self.taken[page / 64] &= !bit;
            }
        }
    }

    fn find_free(&self, pages: usize) -> Option<usize> {
        if self.is_single || self.pages - self.used < pages {
            return None;
        }
        let mut run = 0;
        let mut page = 0;
        while page < self.pages {
            if page % 64 == 0 && self.taken[page / 64] == u64::MAX {
                run = 0;
                page += 64;
                continue;
            }
            run = if self.is_taken(page) { 0 } else { run + 1 };
            page += 1;
            if run == pages {
                return Some(page - pages);
            }
        }
        None
    }

    fn take(&mut self, pages: usize) -> Option<Region> {
        let first =
            if self.is_single { (self.used == 0).then_some(0)? } else { self.find_free(pages)? };
        let region =
            Region { user: self.user + first * PAGE, library: self.library + first * PAGE, pages };
        if !self.is_open {
            mmap::protect(region.user, pages * PAGE, Protection::ReadWrite).ok()?;
        }
        if !self.is_single {
            self.mark(first, pages, true);
        }
        self.used += pages;
        Some(region)
    }

    fn owns(&self, region: &Region) -> bool {
        (self.library..self.library + self.pages * PAGE).contains(&region.library)
    }

    fn give_back(&mut self, region: &Region, view: View) {
        let first = (region.library - self.library) / PAGE;
        let len = region.pages * PAGE;
        if view == View::AtHome {
            if !self.is_single {
                self.mark(first, region.pages, false);
            }
            self.used -= region.pages;
            if self.used > self.lost && !self.is_open {
                // Out of address space for one more mapping: the program keeps seeing the page.
                let _ = mmap::protect(region.user, len, Protection::None);
            }
        } else {
            if let View::Moved(addr) = view {
                // SAFETY: the registry proved that this is a view of the ring; io_destroy unmaps
                // it, as kernel AIO does.
                let _ = unsafe { mmap::unmap(addr, len) };
            }
            self.lost += region.pages;
            self.is_torn |= view != View::Lost;
            for page in (first..first + region.pages).take_while(|_| !self.is_single) {
                self.foreign[page / 64] |= 1 << (page % 64);
            }
        }
        // Giving a page back and taking it again costs more than to clear it.
        let is_there = view == View::AtHome || !self.has_one_view();
        if is_there && (region.pages > KEPT_PAGES || view != View::AtHome) {
            let _ = mmap::discard(region.library, len);
        }
    }

    fn is_empty(&self) -> bool {
        self.used == self.lost
    }

    /// Whether both views are one.
    fn has_one_view(&self) -> bool {
        self.user == self.library
    }

    /// Unmaps both views. Where the program has moved or unmapped a part of its own, nobody knows
    /// what it took along and what is there by now: those addresses are left, without memory.
    fn unmap(&self) {
        let len = self.pages * PAGE;
        let is_torn = self.is_torn || (self.is_single && self.lost > 0);
        match is_torn {
            true if self.has_one_view() => return,
            true => {
                let _ = mmap::discard(self.library, len);
            }
            false => self.unmap_view(),
        }
        if self.has_one_view() {
            return;
        }
        // SAFETY: no region of the arena is in use.
        let _ = unsafe { mmap::unmap(self.library, len) };
    }

    /// Unmaps the program's view, as far as it is ours.
    fn unmap_view(&self) {
        let is_foreign =
            |page: usize| !self.is_single && self.foreign[page / 64] & 1 << (page % 64) != 0;
        let mut first = 0;
        while first < self.pages {
            let is_gap = is_foreign(first);
            let end = match self.lost {
                0 => self.pages,
                _ => (first..self.pages)
                    .find(|page| is_foreign(*page) != is_gap)
                    .unwrap_or(self.pages),
            };
            if !is_gap {
                let addr = self.user + first * PAGE;
                // SAFETY: no region of the arena is in use.
                let _ = unsafe { mmap::unmap(addr, (end - first) * PAGE) };
            }
            first = end;
        }
    }
}

/// All arenas of the process.
#[derive(Debug, Default)]
pub struct Arenas {
    arenas: Vec<Arena>,
    /// Where the last ring came from: with thousands of contexts the others are full.
    hint: usize,
}

impl Arenas {
    /// No memory yet.
    pub const fn new() -> Self {
        Arenas { arenas: Vec::new(), hint: 0 }
    }

    /// Zeroed memory for a ring. ENOMEM: the address space or the number of mappings is used up.
    pub fn allocate(&mut self, pages: usize) -> Result<Region> {
        let count = self.arenas.len();
        for step in 0..count {
            let index = (self.hint + step) % count;
            if let Some(region) = self.arenas[index].take(pages) {
                self.hint = index;
                clear_first_page(&region);
                return Ok(region);
            }
        }
        let is_single = pages > MAX_PAGES / 4;
        let size = match is_single {
            true => pages,
            // Doubling keeps both small programs small and the number of arenas low.
            false => (FIRST_PAGES << count.min(16)).min(MAX_PAGES).max(pages.next_power_of_two()),
        };
        let mut arena = Arena::new(size, is_single)?;
        let region = arena.take(pages).ok_or(crate::sys::errno::Errno::NOMEM);
        match region {
            Ok(region) => {
                self.hint = count;
                self.arenas.push(arena);
                Ok(region)
            }
            Err(error) => {
                arena.unmap();
                Err(error)
            }
        }
    }

    /// Takes a ring's memory back.
    pub fn release(&mut self, region: &Region, view: View) {
        let Some(index) = self.arenas.iter().position(|arena| arena.owns(region)) else { return };
        let arena = &mut self.arenas[index];
        arena.give_back(region, view);
        if arena.is_empty() {
            self.arenas.swap_remove(index).unmap();
            self.hint = 0;
        }
    }

    /// Forgets everything: a forked child does not have the library's views, and leaves the
    /// program's where they are.
    pub fn forget(&mut self) {
        core::mem::forget(core::mem::take(self));
    }
}

fn clear_first_page(region: &Region) {
    // SAFETY: the library's view of a region that no context uses yet.
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(region.library).write_bytes(0, PAGE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(addr: usize) -> u32 {
        // SAFETY: the tests pass addresses of live regions.
        unsafe { core::ptr::with_exposed_provenance::<u32>(addr).read_volatile() }
    }

    fn poke(addr: usize, value: u32) {
        // SAFETY: as `peek`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u32>(addr).write_volatile(value) }
    }

    #[test]
    fn both_views_show_the_same_bytes() {
        let mut arenas = Arenas::new();
        let region = arenas.allocate(3).unwrap();
        poke(region.library + 2 * PAGE, 77);
        assert_eq!(peek(region.user + 2 * PAGE), 77);
        arenas.release(&region, View::AtHome);
        assert!(arenas.arenas.is_empty());
    }

    #[test]
    fn one_view_will_do() {
        let only = mmap::shared(FIRST_PAGES * PAGE).unwrap();
        let mut arenas = Arenas::new();
        arenas.arenas.push(Arena::of(only, only, FIRST_PAGES, false).unwrap());
        let kept = arenas.allocate(1).unwrap();
        assert_eq!((kept.user, kept.library), (only, only));
        for pages in [1, 3] {
            let region = arenas.allocate(pages).unwrap();
            poke(region.user, 4);
            arenas.release(&region, View::AtHome);
            assert_eq!(peek(arenas.allocate(pages).unwrap().user), 0);
        }
        arenas.release(&kept, View::Gone);
        assert!(!arenas.arenas.is_empty());
    }

    #[test]
    fn released_memory_is_hidden_and_large_ones_are_given_back() {
        let mut arenas = Arenas::new();
        let kept = arenas.allocate(100).unwrap();
        for pages in [2, 20] {
            let first = arenas.allocate(pages).unwrap();
            poke(first.user, 4);
            poke(first.user + PAGE, 5);
            arenas.release(&first, View::AtHome);
            assert!(mmap::read_safely::<u32>(first.user).is_err());
            let again = arenas.allocate(pages).unwrap();
            assert_eq!((again.user, peek(again.user)), (first.user, 0));
            let old = if pages > KEPT_PAGES { 0 } else { 5 };
            assert_eq!(peek(again.user + PAGE), old);
            arenas.release(&again, View::AtHome);
        }
        arenas.release(&kept, View::AtHome);
    }

    #[test]
    fn thousands_of_rings_share_a_few_arenas() {
        let mut arenas = Arenas::new();
        let regions: Vec<Region> = (0..10_000).map(|_| arenas.allocate(1).unwrap()).collect();
        assert!(arenas.arenas.len() < 16, "{}", arenas.arenas.len());
        let mut users: Vec<usize> = regions.iter().map(|region| region.user).collect();
        users.sort_unstable();
        users.dedup();
        assert_eq!(users.len(), regions.len());
        for region in &regions {
            arenas.release(region, View::AtHome);
        }
        assert!(arenas.arenas.is_empty());
    }

    #[test]
    fn what_was_lost_is_left_and_all_else_is_unmapped() {
        const OURS: u32 = 0x7531_9bdf;
        let mut arenas = Arenas::new();
        let regions: Vec<Region> = (0..4).map(|_| arenas.allocate(1).unwrap()).collect();
        for region in &regions {
            poke(region.user, OURS);
        }
        let lost = regions[1].user;
        let other = mmap::anonymous(PAGE, Protection::ReadWrite).unwrap();
        // SAFETY: the page is the test's, and nobody uses the view.
        unsafe { mmap::move_onto(other, PAGE, lost) }.unwrap();
        poke(lost, 7);
        for (index, region) in regions.iter().enumerate() {
            arenas.release(region, if index == 1 { View::Lost } else { View::AtHome });
        }
        assert!(arenas.arenas.is_empty());
        assert_eq!(peek(lost), 7);
        for region in [&regions[0], &regions[2], &regions[3]] {
            // Other tests may map something there.
            assert_ne!(mmap::read_safely(region.user), Ok(OURS));
        }
        // SAFETY: the test's own.
        unsafe { mmap::unmap(lost, PAGE) }.unwrap();
    }

    #[test]
    fn an_address_that_the_program_took_is_never_used_again() {
        let mut arenas = Arenas::new();
        let (kept, gone) = (arenas.allocate(1).unwrap(), arenas.allocate(1).unwrap());
        // SAFETY: nobody uses the view.
        unsafe { mmap::unmap(gone.user, PAGE) }.unwrap();
        arenas.release(&gone, View::Gone);
        let next = arenas.allocate(1).unwrap();
        assert_ne!(next.user, gone.user);
        arenas.release(&next, View::AtHome);
        arenas.release(&kept, View::AtHome);
        assert!(arenas.arenas.is_empty());
    }
}
