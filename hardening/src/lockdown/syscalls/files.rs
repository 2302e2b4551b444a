//! Files: reading, and changing where Landlock allows it. Seccomp cannot see paths.

use super::{Rule, is, rule};

pub(super) const FILES: &[Rule] = &[
    rule!(SYS_read, "files and sockets"),
    rule!(SYS_write, "files and sockets"),
    rule!(SYS_readv, "files and sockets"),
    rule!(SYS_writev, "files and sockets"),
    rule!(SYS_pread64, "journal, index"),
    rule!(SYS_pwrite64, "journal, index"),
    rule!(SYS_openat, "opening files; which, is Landlock's business"),
    rule!(SYS_close, "descriptors"),
    rule!(SYS_lseek, "files"),
    rule!(SYS_fstat, "size and kind of an open file"),
    rule!(SYS_newfstatat, "size and kind by path"),
    rule!(SYS_statx, "size, kind, times"),
    rule!(SYS_statfs, "free space"),
    rule!(SYS_fstatfs, "free space; kind of file system"),
    rule!(SYS_faccessat, "existence"),
    rule!(SYS_faccessat2, "glibc tries it and falls back to faccessat").absent(),
    rule!(SYS_readlinkat, "canonical paths"),
    rule!(SYS_getcwd, "relative paths"),
    rule!(SYS_getdents64, "listing segments, snapshots, tokens"),
    rule!(SYS_mkdirat, "data folders"),
    rule!(SYS_unlinkat, "old segments, objects of a token"),
    rule!(SYS_renameat, "replacing a file in one step"),
    rule!(SYS_renameat2, "replacing a file in one step"),
    rule!(SYS_ftruncate, "cutting a torn tail"),
    rule!(SYS_fallocate, "room for a segment in advance"),
    rule!(SYS_fsync, "durability of files and folders"),
    rule!(SYS_fdatasync, "durability of the journal"),
    rule!(SYS_sync_file_range, "sled's flush"),
    rule!(SYS_copy_file_range, "copying a file in the kernel"),
    rule!(SYS_sendfile, "copying a file in the kernel"),
    rule!(SYS_splice, "std's copy tries it and falls back").absent(),
    rule!(SYS_flock, "one process a data directory"),
    rule!(SYS_fchmod, "mode of a new file"),
    rule!(SYS_fchmodat, "mode of a new file"),
    rule!(SYS_ioctl, "non-blocking mode, close-on-exec, bytes waiting, is it a terminal").refuse_unless(&[
        &[is(1, libc::FIONBIO as i32)],
        &[is(1, libc::FIOCLEX as i32)],
        &[is(1, libc::FIONREAD as i32)],
        &[is(1, libc::TCGETS as i32)],
    ]),
    rule!(SYS_fcntl, "flags, duplicates, record locks").refuse_unless(&[
        &[is(1, libc::F_GETFD)],
        &[is(1, libc::F_SETFD)],
        &[is(1, libc::F_GETFL)],
        &[is(1, libc::F_SETFL)],
        &[is(1, libc::F_DUPFD_CLOEXEC)],
        &[is(1, libc::F_GETLK)],
        &[is(1, libc::F_SETLK)],
        &[is(1, libc::F_SETLKW)],
        &[is(1, libc::F_OFD_GETLK)],
        &[is(1, libc::F_OFD_SETLK)],
        &[is(1, libc::F_OFD_SETLKW)],
    ]),
    // What glibc calls on this architecture instead of the `at` forms.
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_access, "existence"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_readlink, "canonical paths"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_mkdir, "data folders"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_rmdir, "data folders"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_unlink, "old segments, objects of a token"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_rename, "replacing a file in one step"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_chmod, "mode of a new file"),
];
