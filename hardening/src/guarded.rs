//! A typed value in guarded memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::arena::{ArenaFull, Slot};
use crate::wipe::wipe_stack;

/// A value of type `T` in the guarded [arena](crate::arena), such as a cipher with its key schedule: dropped, then
/// wiped.
///
/// `T` must own no heap memory that holds secrets: only its own bytes are guarded. Debug prints no content.
pub struct Guarded<T> {
    at: NonNull<T>,
    // Dropped after `drop` has run the value's own destructor; wipes the memory.
    _slot: Slot,
    _owns: PhantomData<T>,
}

// JUSTIFICATION: the raw pointer hides that the value is owned.
// SAFETY: `Guarded<T>` owns its `T` as `Box<T>` does.
unsafe impl<T: Send> Send for Guarded<T> {}
// JUSTIFICATION: as above.
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Moves `value` into guarded memory and wipes the stack it came through. The caller's own copies, if moving left
    /// any further up, are better avoided by [`Guarded::with`].
    ///
    /// # Errors
    /// [`ArenaFull`] if there is no room, or `T` exceeds [`LARGEST`](crate::arena::LARGEST) or a page in alignment.
    pub fn new(value: T) -> Result<Guarded<T>, ArenaFull> {
        Guarded::with(move || value)
    }

    /// Builds a value and moves it into guarded memory, then wipes the stack on which it was built.
    ///
    /// # Errors
    /// As [`Guarded::new`]. `make` is then not called.
    pub fn with(make: impl FnOnce() -> T) -> Result<Guarded<T>, ArenaFull> {
        let requested = size_of::<T>().max(align_of::<T>());
        if align_of::<T>() > rustix::param::page_size() {
            return Err(ArenaFull { requested });
        }
        let slot = Slot::take(requested)?;
        let at = slot.as_ptr().cast::<T>();
        place(at, make);
        wipe_stack();
        Ok(Guarded { at, _slot: slot, _owns: PhantomData })
    }
}

/// Apart from its caller, so that its frame is gone, and can be overwritten, when it returns.
#[inline(never)]
fn place<T>(at: NonNull<T>, make: impl FnOnce() -> T) {
    // JUSTIFICATION: a typed value is put in raw memory.
    // SAFETY: the slot holds at least `size_of::<T>()` bytes, is aligned to its own power-of-two size (up to a page),
    // which is at least `align_of::<T>()`, and nothing else refers to it.
    unsafe { at.write(make()) };
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // JUSTIFICATION: reading a typed value in raw memory.
        // SAFETY: `with` wrote a valid `T` there; it lives until `drop`.
        unsafe { self.at.as_ref() }
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        // JUSTIFICATION: writing a typed value in raw memory.
        // SAFETY: as for `deref`, and `&mut self` makes the access exclusive.
        unsafe { self.at.as_mut() }
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        // JUSTIFICATION: the value in raw memory has its own destructor.
        // SAFETY: it is valid, dropped once, and not used again: the slot is wiped next.
        unsafe { self.at.drop_in_place() };
    }
}

impl<T> fmt::Debug for Guarded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded<{}>", std::any::type_name::<T>())
    }
}
