//! Randomness from the kernel.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Fills `buf` from getrandom(2), waiting at early boot until the kernel's generator is seeded.
///
/// Aborts the process if the kernel has no such source at all (ENOSYS, or a seccomp filter of somebody else's making):
/// there is no safe value to go on with, and no caller could handle it.
pub fn random_bytes(buf: &mut [u8]) {
    let mut rest = buf;
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(filled) => rest = std::mem::take(&mut rest).get_mut(filled..).unwrap_or_default(),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => std::process::abort(),
        }
    }
}
