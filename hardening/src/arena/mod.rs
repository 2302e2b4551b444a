//! The arena: one mapping, locked in memory between guard pages, in which all key material of a process lives.
//!
//! It is made at first use with the default [`Policy`], or by [`initialise`] with another. It has a fixed size: a full
//! arena is the error [`ArenaFull`], never silent use of the heap.

mod mapping;
mod slots;

use std::fmt;
use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

pub use mapping::Backing;

use crate::report::Report;
use mapping::Mapping;
use slots::{BLOCK, Book, Place};

/// The largest single value the arena takes, in bytes.
pub const LARGEST: usize = BLOCK;

/// What is asked of the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Refuse to work with pages that may be swapped out.
    pub require_lock: bool,
    /// Bytes, rounded up to a multiple of 64 KiB. Locked pages count against RLIMIT_MEMLOCK, 8 MiB by default.
    pub size: usize,
}

impl Default for Policy {
    /// 4 MiB, locked if possible.
    fn default() -> Policy {
        Policy { require_lock: false, size: 4 * 1024 * 1024 }
    }
}

/// The arena has no room for a value of `requested` bytes (or the value exceeds [`LARGEST`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArenaFull {
    /// Bytes asked for.
    pub requested: usize,
}

impl fmt::Display for ArenaFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guarded memory has no room for {} bytes", self.requested)
    }
}

impl std::error::Error for ArenaFull {}

/// Why there is no arena as asked for.
#[derive(Debug)]
pub enum ArenaError {
    /// The pages cannot be locked; the text says what to change.
    NotLocked(String),
    /// The kernel gave no memory at all.
    NoMemory(String),
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ArenaError::NotLocked(why) => write!(f, "guarded memory cannot be locked: {why}"),
            ArenaError::NoMemory(why) => write!(f, "no guarded memory: {why}"),
        }
    }
}

impl std::error::Error for ArenaError {}

/// How full the arena is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Usable bytes.
    pub size: usize,
    /// Bytes in slots that are taken.
    pub used: usize,
    /// Slots that are taken.
    pub slots: usize,
}

struct Arena {
    mapping: Mapping,
    book: Mutex<Book>,
}

static ARENA: OnceLock<Result<Arena, String>> = OnceLock::new();

fn arena(policy: Policy) -> &'static Result<Arena, String> {
    ARENA.get_or_init(|| {
        let size = policy.size.clamp(1, usize::MAX / 2).next_multiple_of(BLOCK);
        match Mapping::new(size) {
            Ok(mapping) => Ok(Arena { book: Mutex::new(Book::new(mapping.size)), mapping }),
            Err(error) => Err(format!("mapping {} KiB: {error}", size / 1024)),
        }
    })
}

/// Makes the arena, once for the process, and says how it is held. A later call changes nothing, but still judges the
/// arena by its own `require_lock`.
///
/// Call it before system calls are filtered, and before the limit of locked memory is spent on anything else.
pub fn initialise(policy: Policy) -> Result<Report, ArenaError> {
    let arena = arena(policy).as_ref().map_err(|why| ArenaError::NoMemory(why.clone()))?;
    let report = arena.mapping.report.clone();
    if policy.require_lock && arena.mapping.backing == Backing::Unlocked {
        let why = report.get("guarded memory").map(|item| item.detail.clone()).unwrap_or_default();
        return Err(ArenaError::NotLocked(why));
    }
    Ok(report)
}

/// How the arena's pages are held; `None` if there is no arena.
pub fn backing() -> Option<Backing> {
    arena(Policy::default()).as_ref().ok().map(|arena| arena.mapping.backing)
}

/// How full the arena is; all zero if there is no arena.
pub fn usage() -> Usage {
    match arena(Policy::default()) {
        Ok(arena) => {
            let book = arena.book.lock().unwrap_or_else(PoisonError::into_inner);
            Usage { size: arena.mapping.size, used: book.live_bytes, slots: book.live_slots }
        }
        Err(_) => Usage { size: 0, used: 0, slots: 0 },
    }
}

/// An owned piece of the arena: zero when taken, wiped when dropped.
pub(crate) struct Slot {
    at: NonNull<u8>,
    place: Place,
    arena: &'static Arena,
}

// JUSTIFICATION: the raw pointer hides that a slot is owned memory.
// SAFETY: the book gives each slot to one owner; access follows the borrow rules of `Slot` itself, as with `Box<[u8]>`.
unsafe impl Send for Slot {}
// JUSTIFICATION: as above.
// SAFETY: as above; a shared `Slot` gives only shared access.
unsafe impl Sync for Slot {}

impl Slot {
    /// A zeroed slot of at least `len` bytes, aligned to at least `min(len rounded up to a power of two, page)`.
    pub(crate) fn take(len: usize) -> Result<Slot, ArenaFull> {
        let full = ArenaFull { requested: len };
        let arena = arena(Policy::default()).as_ref().map_err(|_| full)?;
        let place = arena.book.lock().unwrap_or_else(PoisonError::into_inner).take(len).ok_or(full)?;
        // JUSTIFICATION: an offset in the book becomes an address.
        // SAFETY: the book covers exactly the mapping, so offset + size lies within it.
        let at = unsafe { arena.mapping.base.add(place.offset) };
        Ok(Slot { at, place, arena })
    }

    pub(crate) fn as_ptr(&self) -> NonNull<u8> {
        self.at
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // JUSTIFICATION: arena memory is raw.
        // SAFETY: the slot is owned by `self`, lies in a mapping that is never unmapped, and is initialised (zero pages
        // of the kernel, or wiped by the last owner).
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.place.size) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // JUSTIFICATION: arena memory is raw.
        // SAFETY: as for `bytes`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.place.size) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // JUSTIFICATION: the wipe must reach memory that a typed value may have occupied.
        // SAFETY: the whole slot is ours until it is given back below.
        unsafe { memsec::memzero(self.at.as_ptr(), self.place.size) };
        self.arena.book.lock().unwrap_or_else(PoisonError::into_inner).give_back(self.place);
    }
}
