//! What a child calls between fork and its own filter: execve, the dynamic loader, the runtime, the locks themselves, and what
//! it makes before it is locked: its storage, its listeners, its session with the HSM. What the roles call later too stands in
//! their tables.
//!
//! Only in the monitor's filter, which its children inherit.

use super::network::STREAM_SOCKETS;
use super::{Rule, is, rule};

const NO_MEMFD_SECRET: &str = "kernels without memfd_secret";

pub(super) const STARTUP: &[Rule] = &[
    // fork, execve, the loader
    rule!(SYS_dup3, "standard streams of a child; the control socket leaves standard input").newer_form(),
    rule!(SYS_execve, "the roles: Landlock allows this one program alone"),
    rule!(SYS_set_tid_address, "loader: main thread"),
    rule!(SYS_faccessat, "loader: /etc/ld.so.preload").newer_form(),
    rule!(SYS_ppoll, "runtime: are the standard streams open").newer_form(),
    // the locks
    rule!(SYS_mlock, "guarded memory").never_in_tests(NO_MEMFD_SECRET),
    rule!(SYS_memfd_secret, "guarded memory"),
    rule!(SYS_prlimit64, "core and locked-memory limits"),
    rule!(SYS_prctl, "dumpable, death signal, no_new_privs, bounding and ambient capabilities, MDWE"),
    rule!(SYS_getppid, "is the monitor still there"),
    rule!(SYS_getsockopt, "is standard input the monitor's socket"),
    rule!(SYS_capget, "reading capabilities"),
    rule!(SYS_capset, "dropping capabilities"),
    rule!(SYS_landlock_create_ruleset, "Landlock"),
    rule!(SYS_landlock_add_rule, "Landlock"),
    rule!(SYS_landlock_restrict_self, "Landlock"),
    rule!(SYS_seccomp, "the role's own filter"),
    // storage and the HSM's token
    rule!(SYS_lseek, "reading streams"),
    rule!(SYS_fchmodat, "mode of the data directory").newer_form(),
    // listeners and the event loop
    rule!(SYS_socket, "listeners").refuse_unless(STREAM_SOCKETS),
    rule!(SYS_bind, "listeners; ports are Landlock's business"),
    rule!(SYS_listen, "listeners"),
    rule!(SYS_getsockname, "a listener's port"),
    rule!(SYS_epoll_create1, "event loop"),
    rule!(SYS_eventfd2, "waking the event loop"),
    rule!(SYS_socketpair, "waking the event loop from a signal handler").refuse_unless(&[&[is(0, libc::AF_UNIX)]]),
    rule!(SYS_ioctl, "non-blocking sockets")
        .refuse_unless(&[&[is(1, libc::FIONBIO as i32)], &[is(1, libc::FIOCLEX as i32)]]),
];

/// What glibc and the loader call on this architecture in place of the newer forms.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD_FORMS: &[Rule] = &[
    rule!(SYS_arch_prctl, "loader: thread pointer"),
    rule!(SYS_dup2, "standard streams of a child; the control socket leaves standard input"),
    rule!(SYS_access, "loader: /etc/ld.so.preload"),
    rule!(SYS_poll, "runtime: are the standard streams open"),
    rule!(SYS_chmod, "mode of the data directory"),
];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLD_FORMS: &[Rule] = &[];
