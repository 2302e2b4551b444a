//! What the monitor itself does: start the other roles, watch them, hand over sockets.

use super::common::NAMESPACES;
use super::{Rule, masked, rule};

pub(super) const MONITOR: &[Rule] = &[
    rule!(SYS_clone, "a child; never a namespace").only(&[&[masked(0, NAMESPACES, 0)]]),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_vfork, "a child"),
    rule!(SYS_execve, "the roles: Landlock allows this one program alone"),
    rule!(SYS_wait4, "a child has ended"),
    rule!(SYS_waitid, "a child has ended"),
    rule!(SYS_pidfd_open, "a handle on a child that is not reused"),
    rule!(SYS_pidfd_send_signal, "ending a child"),
    rule!(SYS_kill, "ending a child"),
];
