//! What the server role needs beside: the clients of its listeners, its storage, its audit files. None of its memory is code,
//! and it makes no socket: the listeners are open before it is locked.

use super::{Rule, masked, rule};

const EXECUTE: u32 = libc::PROT_EXEC.cast_unsigned();

pub(super) const SERVER: &[Rule] = &[
    rule!(SYS_mmap, "memory and files; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
    rule!(SYS_mprotect, "guard pages, malloc's heaps; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
    // clients
    rule!(SYS_accept4, "connections of clients"),
    rule!(SYS_epoll_ctl, "event loop"),
    rule!(SYS_epoll_pwait, "event loop").newer_form(),
    rule!(SYS_setsockopt, "no-delay; deadlines of the hsm process's socket"),
    rule!(SYS_shutdown, "ending a connection"),
    rule!(SYS_writev, "answers: head and body in one"),
    rule!(SYS_recvmsg, "sockets to the hsm process, from the monitor"),
    // storage and audit files
    rule!(SYS_pread64, "journal, index"),
    rule!(SYS_pwrite64, "journal, index"),
    rule!(SYS_getdents64, "listing segments and snapshots"),
    rule!(SYS_lseek, "sled reads its files at opening").never_in_tests("a full disk: the index is opened again"),
    rule!(SYS_mkdirat, "snapshots' folder, audit files' folders").newer_form(),
    rule!(SYS_renameat, "replacing a file in one step").newer_form(),
    rule!(SYS_unlinkat, "old segments and snapshots").newer_form(),
    rule!(SYS_ftruncate, "cutting a torn tail; redb's file"),
    rule!(SYS_fsync, "durability of files and folders"),
    rule!(SYS_fdatasync, "durability of the journal"),
    rule!(SYS_sync_file_range, "sled's flush"),
    rule!(SYS_flock, "one process a data directory"),
    rule!(SYS_fchmod, "mode of an audit file"),
];

/// What glibc calls on this architecture in place of the newer forms.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD_FORMS: &[Rule] = &[
    rule!(SYS_epoll_wait, "event loop"),
    rule!(SYS_mkdir, "snapshots' folder, audit files' folders"),
    rule!(SYS_rename, "replacing a file in one step"),
    rule!(SYS_unlink, "old segments and snapshots"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLD_FORMS: &[Rule] = &[];
