//! A tree from page-aligned addresses to pointers, read without a lock.
//!
//! Three levels of 4096 entries cover 48 bits of address. Nodes are made as they are needed and
//! never freed, so that a reader needs no protection: it finds the pointer that was stored, or
//! null.
//!
//! *Who may touch what*: writers serialise themselves; readers come at any time.

use core::marker::PhantomData;
use core::ptr;

use bytemuck::Zeroable;

use crate::sync::{AtomicPtr, Ordering};
use crate::sys::errno::Result;
use crate::sys::mmap;

const PAGE_BITS: u32 = 12;
const LEVEL_BITS: u32 = 12;
const FANOUT: usize = 1 << LEVEL_BITS;
const ADDRESS_BITS: u32 = PAGE_BITS + 3 * LEVEL_BITS;

/// Pointers to the next level, or on the last one to what is stored.
type Node = [AtomicPtr<u8>; FANOUT];

/// See the module. All-zero memory is a tree without a root, in which nothing can be found.
#[derive(Debug, Zeroable)]
pub struct Radix<T> {
    root: AtomicPtr<u8>,
    stored: PhantomData<AtomicPtr<T>>,
}

/// The entry of `address` on a level, 2 being that of the root.
///
/// # Safety
/// `node` is a node of a tree.
#[inline]
unsafe fn entry<'a>(node: *mut u8, address: usize, level: u32) -> &'a AtomicPtr<u8> {
    let index = (address >> (PAGE_BITS + level * LEVEL_BITS)) & (FANOUT - 1);
    // SAFETY: nodes have FANOUT entries, are zeroed at birth and never unmapped.
    unsafe { &(&(*node.cast::<Node>()))[index] }
}

fn node() -> Result<*mut u8> {
    mmap::anonymous_lazy(size_of::<Node>()).map(ptr::with_exposed_provenance_mut)
}

/// Whether an address can be in a tree.
#[inline]
pub fn is_possible(address: usize) -> bool {
    address >> ADDRESS_BITS == 0 && address & ((1 << PAGE_BITS) - 1) == 0
}

impl<T> Radix<T> {
    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        // Acquire: pairs with the Release in `plant`.
        self.root.load(Ordering::Acquire).is_null()
    }

    /// Gives the tree a root, if it has none.
    pub fn plant(&self) -> Result<()> {
        if self.is_empty() {
            // Release: pairs with the Acquire in `get` and `is_empty`.
            self.root.store(node()?, Ordering::Release);
        }
        Ok(())
    }

    /// Forgets everything; the nodes stay.
    pub fn uproot(&self) {
        self.root.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What is stored at `address`; null if nothing is.
    #[inline]
    pub fn get(&self, address: usize) -> *mut T {
        if !is_possible(address) {
            return ptr::null_mut();
        }
        // Acquire: pairs with the Release in `plant`.
        let mut node = self.root.load(Ordering::Acquire);
        for level in [2, 1, 0] {
            if node.is_null() {
                return ptr::null_mut();
            }
            // Acquire: pairs with the Release in `set`.
            // SAFETY: the root, and the entries of all levels but the last, are nodes.
            node = unsafe { entry(node, address, level) }.load(Ordering::Acquire);
        }
        node.cast()
    }

    /// Stores `value` at `address`, which is possible; null removes. ENOMEM. A tree in which
    /// `address` was set before has all it needs.
    pub fn set(&self, address: usize, value: *mut T) -> Result<()> {
        self.plant()?;
        let mut parent = self.root.load(Ordering::Relaxed);
        for level in [2, 1] {
            // SAFETY: as in `get`.
            let child = unsafe { entry(parent, address, level) };
            parent = child.load(Ordering::Relaxed);
            if parent.is_null() {
                parent = node()?;
                // Release: pairs with the Acquire in `get`.
                child.store(parent, Ordering::Release);
            }
        }
        // Release: what `value` leads to is published to the Acquire in `get`.
        // SAFETY: as in `get`.
        unsafe { entry(parent, address, 0) }.store(value.cast(), Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Radix<u64> {
        Radix { root: AtomicPtr::new(ptr::null_mut()), stored: PhantomData }
    }

    #[test]
    fn what_is_stored_is_found_and_nothing_else() {
        let tree = tree();
        let mut values = [1u64, 2, 3];
        let addresses = [0x1000, 0x7fff_ffff_e000, 0x7f00_1234_5000];
        assert!(tree.get(0x1000).is_null());
        for (value, address) in values.iter_mut().zip(addresses) {
            tree.set(address, value).unwrap();
        }
        for (value, address) in values.iter().zip(addresses) {
            assert!(ptr::eq(tree.get(address), value));
            assert!(tree.get(address + 0x1000).is_null());
            assert!(tree.get(address + 8).is_null(), "misaligned");
        }
        tree.set(0x1000, ptr::null_mut()).unwrap();
        assert!(tree.get(0x1000).is_null());
        tree.uproot();
        assert!(tree.get(addresses[1]).is_null());
    }

    #[test]
    fn impossible_addresses_are_not_found() {
        let tree = tree();
        tree.plant().unwrap();
        for address in [0, 8, usize::MAX, 1 << 48, 1 << 63, usize::MAX & !0xfff] {
            assert!(tree.get(address).is_null(), "{address:#x}");
        }
    }
}
