//! The wiping global allocator.

use std::alloc::{GlobalAlloc, Layout, System};

use crate::blocks::Class;
use crate::wipe::wipe;

/// The system's allocator with free lists in front of it, except that every block is overwritten before it is given back.
///
/// Make it the `#[global_allocator]` of a binary that handles secrets: request bodies, parsed JSON and the buffers of
/// libraries then leave no copy on the heap. A block that `realloc` moves is overwritten too, and so is the end of one
/// that it makes smaller. Not covered: stacks, registers, and what C libraries take from their own `malloc`.
#[derive(Debug, Default, Clone, Copy)]
pub struct WipingAllocator;

/// Blocks of this size and more are mapped one by one.
const LARGE: libc::c_int = 1 << 20;

impl WipingAllocator {
    /// Lets large blocks go back to the kernel as soon as they are freed. Left alone, glibc keeps up to 32 MiB of what each
    /// thread has freed for the next large block, so that a few large requests would make the process large for good.
    pub fn keep_no_large_blocks() {
        // JUSTIFICATION: no crate here wraps mallopt.
        // SAFETY: integers only; the call changes where blocks come from, not what they are.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        }
    }

    /// Gives the pages back to the kernel that hold nothing any more. For after work on much memory in small blocks, which
    /// [`keep_no_large_blocks`](Self::keep_no_large_blocks) says nothing about; takes some milliseconds.
    pub fn give_back_pages() {
        // JUSTIFICATION: no crate here wraps malloc_trim.
        // SAFETY: it gives back free pages only, under malloc's own locks.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

// JUSTIFICATION: `GlobalAlloc` is an unsafe trait; there is no safe way to see every block that is freed.
// SAFETY: whether a block is the lists' or the system's follows from its layout alone, which is the same when it is given
// back; either gives blocks at least as large and as aligned as the layout, and `realloc` stays in place only where
// both layouts have blocks of one class.
unsafe impl GlobalAlloc for WipingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout) {
            Some(class) => class.take(),
            // JUSTIFICATION: forwarding. SAFETY: the caller's contract is `System`'s contract.
            None => unsafe { System.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(class) = Class::of(layout) else {
            // JUSTIFICATION: forwarding. SAFETY: the caller's contract is `System`'s contract.
            return unsafe { System.alloc_zeroed(layout) };
        };
        let block = class.take();
        if !block.is_null() {
            // JUSTIFICATION: free blocks hold links. SAFETY: the block is that large, and nobody else's.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // JUSTIFICATION: wiping before freeing is the purpose of this type.
        // SAFETY: the caller gives up a live block of `layout.size()` bytes that came from `alloc` above.
        unsafe {
            wipe(block, layout.size());
            match Class::of(layout) {
                Some(class) => class.give(block),
                None => System.dealloc(block, layout),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // JUSTIFICATION: `System.realloc` may move the block and leave its old bytes unwiped.
        // SAFETY: the caller vouches that `block` has `layout` and that `new_size` is a valid, non-zero size for its
        // alignment; the two blocks are distinct, and the copy stays within the shorter of the two.
        unsafe {
            let new_layout = Layout::from_size_align_unchecked(new_size, layout.align());
            let class = Class::of(layout);
            if class.is_some() && class == Class::of(new_layout) {
                if let Some(cut) = layout.size().checked_sub(new_size) {
                    wipe(block.add(new_size), cut);
                }
                return block;
            }
            let moved = self.alloc(new_layout);
            if !moved.is_null() {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// What the heap takes, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeapUsage {
    /// In blocks that are in use.
    pub used: usize,
    /// Had from the system.
    pub size: usize,
}

/// The C library's own account of the heap. It looks at each of its arenas, so it is not for every request.
pub fn heap_usage() -> HeapUsage {
    // JUSTIFICATION: there is no safe binding to the allocator's account. SAFETY: it takes nothing, returns a plain struct by
    // value, and may be called by any thread at any time.
    let found = unsafe { libc::mallinfo2() };
    HeapUsage { used: found.uordblks + found.hblkhd, size: found.arena + found.hblkhd }
}
