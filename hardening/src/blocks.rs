//! Stacks of free small blocks, for each thread, in front of the system's allocator.
//!
//! A request takes and frees some hundred blocks, often on different threads. glibc keeps seven of a size for each thread;
//! what goes beyond that through its bins was a fifth of a request's processor time, and more once the heap was
//! fragmented. Every block here came from the system's allocator in the size of its class, so each can go back there
//! at any time. Nothing is kept in free blocks: to look into one that is not in the cache costs more than all the rest.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// Larger blocks are the system's business.
const LARGEST: usize = 32 << 10;
/// What the system's allocator aligns to by itself, and the smallest block.
const ALIGN: usize = 16;
const CLASSES: usize = 40;
/// A thread keeps at most so many bytes of a class, and at most [`KEPT`] blocks.
const KEPT_BYTES: usize = 32 << 10;
const KEPT: usize = 64;
/// Bytes and blocks of a class that lie between the threads.
const SHARED_BYTES: usize = 256 << 10;
const SHARED_BLOCKS: usize = 512;

/// Free blocks of one class; the last in is the first out, since it is still in the processor's cache.
struct Stack<const SIZE: usize> {
    blocks: [*mut u8; SIZE],
    count: usize,
}

/// A thread's own blocks.
struct Own([UnsafeCell<Stack<KEPT>>; CLASSES]);

/// Blocks that a thread had too many of, for threads that have none: many are taken on one and freed on another.
struct Shared(Stack<SHARED_BLOCKS>);

// JUSTIFICATION: raw pointers are not `Send` by themselves.
// SAFETY: the blocks are reached under their lock alone, and belong to whoever takes them out.
unsafe impl Send for Shared {}

static SHARED: [Mutex<Shared>; CLASSES] = [const { Mutex::new(Shared(Stack::EMPTY)) }; CLASSES];

thread_local! {
    static OWN: Own = const { Own([const { UnsafeCell::new(Stack::EMPTY) }; CLASSES]) };
}

/// A size class: blocks in it are interchangeable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Class(usize);

impl Class {
    /// The class of blocks for `layout`; `None` if these are not kept here. Classes are multiples of 16 bytes up to 64, then
    /// four to each doubling, so that at most a fifth of a larger block is unused.
    pub(crate) fn of(layout: Layout) -> Option<Self> {
        let size = layout.size();
        if size == 0 || size > LARGEST || layout.align() > ALIGN {
            return None;
        }
        if size <= 64 {
            return Some(Self((size - 1) / 16));
        }
        let doubling = (size - 1).ilog2() as usize;
        let quarter = ((size - 1) >> (doubling - 2)) & 3;
        Some(Self(4 + (doubling - 6) * 4 + quarter))
    }

    /// Bytes of a block.
    fn size(self) -> usize {
        match self.0.checked_sub(4) {
            None => (self.0 + 1) * 16,
            Some(above) => (5 + above % 4) << (above / 4 + 4),
        }
    }

    /// Blocks that a thread moves at a time; it keeps twice as many.
    fn chunk(self) -> usize {
        (KEPT_BYTES / 2 / self.size()).clamp(2, KEPT / 2)
    }

    fn layout(self) -> Layout {
        // JUSTIFICATION: the checked form has an error that cannot occur, in code that must not panic.
        // SAFETY: ALIGN is a power of two, and no class is near isize::MAX.
        unsafe { Layout::from_size_align_unchecked(self.size(), ALIGN) }
    }

    /// A block, with anything in it; null if there is no memory.
    pub(crate) fn take(self) -> *mut u8 {
        let taken = OWN.try_with(|own| own.with(self, |stack| stack.take(self))).unwrap_or(null_mut());
        if !taken.is_null() {
            return taken;
        }
        // JUSTIFICATION: this is where blocks come from. SAFETY: the layout's size is not 0.
        unsafe { System.alloc(self.layout()) }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// `block` came from [`Self::take`] of this class, was wiped, and is used no more.
    pub(crate) unsafe fn give(self, block: *mut u8) {
        let given = OWN.try_with(|own| {
            own.with(self, |stack| {
                stack.give(self, block);
                block
            })
        });
        // The thread is ending.
        if given.map_or(true, <*mut u8>::is_null) {
            self.give_back(&[block]);
        }
    }

    /// Gives free blocks of this class back to the system.
    fn give_back(self, blocks: &[*mut u8]) {
        for block in blocks {
            // JUSTIFICATION: this is where blocks go. SAFETY: each came from `System` with this layout, is in no stack, and
            // is used by nobody.
            unsafe { System.dealloc(*block, self.layout()) };
        }
    }
}

impl<const SIZE: usize> Stack<SIZE> {
    const EMPTY: Self = Self { blocks: [null_mut(); SIZE], count: 0 };

    /// Null if there is none.
    fn pop(&mut self) -> *mut u8 {
        let Some(last) = self.count.checked_sub(1) else { return null_mut() };
        self.count = last;
        self.blocks.get(last).copied().unwrap_or(null_mut())
    }

    /// As many as there is room for; the rest is returned.
    fn push<'b>(&mut self, blocks: &'b [*mut u8], limit: usize) -> &'b [*mut u8] {
        let room = limit.min(SIZE).saturating_sub(self.count);
        let (kept, rest) = blocks.split_at(room.min(blocks.len()));
        if let Some(place) = self.blocks.get_mut(self.count..self.count + kept.len()) {
            place.copy_from_slice(kept);
            self.count += kept.len();
        }
        rest
    }
}

impl Stack<KEPT> {
    fn take(&mut self, class: Class) -> *mut u8 {
        if self.count == 0 {
            Shared::take(class, self);
        }
        self.pop()
    }

    fn give(&mut self, class: Class, block: *mut u8) {
        let chunk = class.chunk();
        if self.count == 2 * chunk {
            // Those that have lain there longest.
            if let Some(oldest) = self.blocks.get(..chunk) {
                Shared::give(class, oldest);
            }
            self.blocks.copy_within(chunk..2 * chunk, 0);
            self.count = chunk;
        }
        self.push(&[block], KEPT);
    }
}

impl Own {
    /// Null if there is no such class.
    fn with(&self, class: Class, work: impl FnOnce(&mut Stack<KEPT>) -> *mut u8) -> *mut u8 {
        // JUSTIFICATION: thread-local state that is changed in place, in code that may not allocate or panic.
        // SAFETY: nothing in `work` comes back here, so this is the only reference.
        self.0.get(class.0).map_or(null_mut(), |stack| work(unsafe { &mut *stack.get() }))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for (number, stack) in self.0.iter_mut().enumerate() {
            let Stack { blocks, count } = stack.get_mut();
            Class(number).give_back(blocks.get(..*count).unwrap_or_default());
            *count = 0;
        }
    }
}

impl Shared {
    /// Moves up to a chunk to an empty stack.
    fn take(class: Class, into: &mut Stack<KEPT>) {
        let Some(shared) = SHARED.get(class.0) else { return };
        let Self(stack) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
        let from = stack.count.saturating_sub(class.chunk());
        if let Some(chunk) = stack.blocks.get(from..stack.count) {
            into.push(chunk, KEPT);
        }
        stack.count = from;
    }

    /// Keeps what there is room for; the rest goes back to the system.
    fn give(class: Class, blocks: &[*mut u8]) {
        let Some(shared) = SHARED.get(class.0) else { return };
        let rest = {
            let Self(stack) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
            stack.push(blocks, SHARED_BYTES / class.size())
        };
        class.give_back(rest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn class(size: usize) -> Option<Class> {
        Class::of(Layout::from_size_align(size, 8).unwrap())
    }

    #[test]
    fn every_size_has_the_smallest_class_that_holds_it() {
        let sizes: Vec<_> = (0..CLASSES).map(|number| Class(number).size()).collect();
        assert!(sizes.is_sorted() && sizes.iter().all(|size| size % ALIGN == 0));
        for size in 1..=LARGEST {
            let smallest = sizes.iter().position(|class| *class >= size).unwrap();
            assert_eq!(class(size), Some(Class(smallest)), "{size}");
        }
        assert_eq!((class(0), class(LARGEST + 1)), (None, None));
        assert_eq!(Class::of(Layout::from_size_align(64, 32).unwrap()), None);
    }

    /// A block of `size` bytes, all of them `mark`.
    fn filled(size: usize, mark: u8) -> (Class, usize, usize) {
        let class = class(size).unwrap();
        let block = class.take();
        assert!(!block.is_null() && block.addr().is_multiple_of(ALIGN));
        // JUSTIFICATION: the test's subject. SAFETY: the block is that large, and ours.
        unsafe { block.write_bytes(mark, class.size()) };
        (class, block.expose_provenance(), size)
    }

    /// Whether nobody else wrote to the block; gives it back.
    fn unspoilt(block: (Class, usize, usize), mark: u8) -> bool {
        let (class, address, _) = block;
        let at: *mut u8 = std::ptr::with_exposed_provenance_mut(address);
        // JUSTIFICATION: the test's subject. SAFETY: the block is that large, ours, and was filled.
        let bytes = unsafe { std::slice::from_raw_parts(at, class.size()) };
        let sound = bytes.iter().all(|byte| *byte == mark);
        // JUSTIFICATION: the test's subject. SAFETY: it came from `take` of this class, and is used no more.
        unsafe { class.give(at) };
        sound
    }

    #[test]
    fn no_block_is_given_to_two_wherever_it_is_freed() {
        let (sender, freed) = channel();
        std::thread::scope(|scope| {
            for mark in 1..=4_u8 {
                let sender = sender.clone();
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..20_000_usize {
                        held.push(filled(1 + (round * 7919 + usize::from(mark)) % 3000, mark));
                        if held.len() > 300 {
                            let block = held.swap_remove(round % 300);
                            // Every other block ends on another thread.
                            if round % 2 == 0 {
                                sender.send((block, mark)).unwrap();
                            } else {
                                assert!(unspoilt(block, mark));
                            }
                        }
                    }
                    held.into_iter().for_each(|block| assert!(unspoilt(block, mark)));
                });
            }
            drop(sender);
            freed.iter().for_each(|(block, mark)| assert!(unspoilt(block, mark)));
        });
    }
}
