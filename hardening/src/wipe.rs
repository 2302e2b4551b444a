//! Overwriting that the optimiser may not remove.

use std::hint::black_box;

/// Overwrites `len` bytes at `at` with zeros, at the speed of `memset`.
///
/// # Safety
/// `at` must be valid for writes of `len` bytes, and nothing may read them as a typed value afterwards.
#[inline]
pub(crate) unsafe fn wipe(at: *mut u8, len: usize) {
    // JUSTIFICATION: safe code can only wipe what it can name as a slice; an allocator has a raw pointer.
    // SAFETY: the caller vouches for the range. The empty asm claims to read memory through `at`, so the store stays.
    unsafe {
        at.write_bytes(0, len);
        std::arch::asm!("/* {0} */", in(reg) at, options(nostack, preserves_flags, readonly));
    }
}

/// Overwrites the 16 KiB of stack below the caller: what functions that have just returned left there.
///
/// Call it after work that put key material in local variables, such as building a key schedule.
pub fn wipe_stack() {
    overwrite::<{ 16 * 1024 }>();
}

/// The same for 64 KiB: what a whole request leaves, or a ceremony over all keys.
///
/// Call it where a thread goes back to waiting for work.
pub fn wipe_deep_stack() {
    overwrite::<{ 64 * 1024 }>();
}

/// Runs `work`, then overwrites the stack that it used: ciphers and MACs leave round keys and key copies there.
pub fn leaving_no_trace<R>(work: impl FnOnce() -> R) -> R {
    let done = apart(work);
    wipe_stack();
    done
}

/// The same for work on a whole keyring, which goes deeper.
pub fn leaving_no_deep_trace<R>(work: impl FnOnce() -> R) -> R {
    let done = apart(work);
    wipe_deep_stack();
    done
}

// Apart from its caller, so that its frame is gone when it returns.
#[inline(never)]
fn apart<R>(work: impl FnOnce() -> R) -> R {
    work()
}

// Never part of its caller, whose frame would otherwise hold the bytes, beside those to be wiped.
#[inline(never)]
fn overwrite<const BYTES: usize>() {
    let mut dead = [0u8; BYTES];
    black_box(&mut dead);
}
