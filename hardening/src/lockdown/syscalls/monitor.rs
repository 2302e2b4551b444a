//! What the monitor itself does: start the other roles, watch them, hand over sockets.

use super::common::NAMESPACES;
use super::{Rule, is, masked, rule};

pub(super) const MONITOR: &[Rule] = &[
    rule!(SYS_clone, "a child; never a namespace").only(&[&[masked(0, NAMESPACES, 0)]]),
    rule!(SYS_wait4, "a child has ended"),
    rule!(SYS_pidfd_open, "a handle on a child that is not reused"),
    rule!(SYS_pidfd_send_signal, "ending a child"),
    rule!(SYS_ppoll, "waiting for children, signals and the server's word"),
    rule!(SYS_socketpair, "the sockets between the roles").refuse_unless(&[&[is(0, libc::AF_UNIX)]]),
    rule!(SYS_sendmsg, "handing a socket over"),
];
