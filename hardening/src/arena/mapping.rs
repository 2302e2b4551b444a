//! The pages of the arena.

use std::ffi::c_void;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr::{NonNull, null_mut};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap};

use crate::report::{Report, State};

/// How the pages are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// memfd_secret(2): locked, and not readable even by the kernel's own views such as /proc/PID/mem.
    SecretMemory,
    /// Anonymous memory, mlock(2) checked.
    Locked,
    /// Anonymous memory that may be swapped out.
    Unlocked,
}

/// The arena's usable pages, between two pages that fault. Never unmapped.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) base: NonNull<u8>,
    pub(super) size: usize,
    pub(super) backing: Backing,
    pub(super) report: Report,
}

// JUSTIFICATION: the base pointer is shared by all threads.
// SAFETY: `Mapping` is plain data after construction; who may touch which bytes is decided by the slot book.
unsafe impl Send for Mapping {}
// JUSTIFICATION: as above.
// SAFETY: as above.
unsafe impl Sync for Mapping {}

pub(super) fn page_size() -> usize {
    rustix::param::page_size()
}

impl Mapping {
    /// Maps `size` bytes (a multiple of the page size), the best way this kernel and the limits allow.
    pub(super) fn new(size: usize) -> Result<Mapping, std::io::Error> {
        let mut report = Report::default();
        let secret_memory = match map_secret_memory(size) {
            Ok(base) => {
                report.add("guarded memory", State::Set, format!("{} KiB of memfd_secret, locked", size / 1024));
                report.add("unreadable memory", State::Set, "memfd_secret pages are in no other view of the process");
                advise(base, size, Advice::LinuxDontDump, "no core dump of secrets", &mut report);
                advise(base, size, Advice::LinuxDontFork, "no secrets in a fork", &mut report);
                return guarded(base, size, Backing::SecretMemory, report);
            }
            Err(error) => error,
        };
        let base = map_private(size)?;
        // JUSTIFICATION: locking takes a raw range.
        // SAFETY: the range is the mapping just made, which nothing else knows yet.
        let locked = unsafe { memsec::mlock(base.as_ptr().add(page_size()), size) };
        let lock_error = std::io::Error::last_os_error();
        let backing = if locked {
            report.add("guarded memory", State::Set, format!("{} KiB locked by mlock", size / 1024));
            Backing::Locked
        } else {
            report.add("guarded memory", State::NotSet, not_locked(size, &lock_error));
            Backing::Unlocked
        };
        let detail = format!("memfd_secret: {}", std::io::Error::from(secret_memory));
        report.add("unreadable memory", State::Unavailable, detail);
        advise(base, size, Advice::LinuxDontDump, "no core dump of secrets", &mut report);
        advise(base, size, Advice::LinuxWipeOnFork, "no secrets in a fork", &mut report);
        guarded(base, size, backing, report)
    }
}

fn not_locked(size: usize, error: &std::io::Error) -> String {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
    let limit = limit.map_or("unlimited".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
    format!(
        "mlock of {} KiB: {error}; RLIMIT_MEMLOCK is {limit}: raise it (LimitMEMLOCK=64M in the unit, \
         --ulimit memlock=67108864 for a container)",
        size / 1024
    )
}

/// `size` bytes and a page on either side, readable and writable, from memfd_secret(2).
fn map_secret_memory(size: usize) -> Result<NonNull<u8>, Errno> {
    let whole = size + 2 * page_size();
    // JUSTIFICATION: neither rustix nor libc wraps this call.
    // SAFETY: it takes one integer and returns a new descriptor or -1, touching no memory of ours.
    let raw = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let raw = i32::try_from(raw).map_err(|_| Errno::BADF)?;
    if raw < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS));
    }
    // JUSTIFICATION: a number from the kernel becomes an owned descriptor.
    // SAFETY: the call above returned it, and nobody else owns it.
    let file = unsafe { OwnedFd::from_raw_fd(raw) };
    rustix::fs::ftruncate(&file, whole as u64)?;
    // JUSTIFICATION: mapping memory is what this module is for.
    // SAFETY: the kernel chooses the address, so no existing mapping is touched; the file is private to us.
    let start =
        unsafe { mmap(null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file.as_fd(), 0)? };
    NonNull::new(start.cast::<u8>()).ok_or(Errno::NOMEM)
}

/// The same from private anonymous memory.
fn map_private(size: usize) -> Result<NonNull<u8>, Errno> {
    let whole = size + 2 * page_size();
    // JUSTIFICATION: mapping memory is what this module is for.
    // SAFETY: the kernel chooses the address, so no existing mapping is touched.
    let start = unsafe { mmap_anonymous(null_mut(), whole, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
    NonNull::new(start.cast::<u8>()).ok_or(Errno::NOMEM)
}

fn advise(start: NonNull<u8>, size: usize, advice: Advice, name: &'static str, report: &mut Report) {
    // JUSTIFICATION: madvise takes a raw range.
    // SAFETY: the range is our own mapping, not yet in use; neither DONTDUMP, DONTFORK nor WIPEONFORK changes its bytes.
    match unsafe { madvise(start.as_ptr().cast::<c_void>(), size + 2 * page_size(), advice) } {
        Ok(()) => report.add(name, State::Set, format!("{advice:?}")),
        Err(error) => report.add(name, State::NotSet, format!("{advice:?}: {}", std::io::Error::from(error))),
    }
}

/// Turns the first and last page into guards.
fn guarded(start: NonNull<u8>, size: usize, backing: Backing, mut report: Report) -> Result<Mapping, std::io::Error> {
    let page = page_size();
    // JUSTIFICATION: protecting pages takes raw ranges.
    // SAFETY: start is a mapping of page + size + page bytes that nothing uses yet; on failure all of it goes away.
    let base = unsafe {
        let first = start.as_ptr();
        let last = first.add(page + size);
        let protect = mprotect(first.cast(), page, MprotectFlags::empty())
            .and_then(|()| mprotect(last.cast(), page, MprotectFlags::empty()));
        if let Err(error) = protect {
            let _ = munmap(first.cast(), size + 2 * page);
            return Err(error.into());
        }
        start.add(page)
    };
    report.add("guard pages", State::Set, "a page that faults on either side");
    Ok(Mapping { base, size, backing, report })
}
