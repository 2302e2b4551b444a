//! Sockets of one's own, and the event loop that waits for them.

use super::{Arg, Rule, is, masked, rule};

/// Bits of a socket's type that are flags.
const KIND: u32 = !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();

const STREAM: Arg = masked(1, KIND, libc::SOCK_STREAM);
const DATAGRAM: Arg = masked(1, KIND, libc::SOCK_DGRAM);

/// TCP and local streams, in and out.
pub(super) const NETWORK: &[Rule] = &[
    rule!(SYS_socket, "TCP and local streams: no raw, packet, netlink or vsock sockets").refuse_unless(&[
        &[is(0, libc::AF_UNIX), STREAM],
        &[is(0, libc::AF_INET), STREAM, is(2, 0)],
        &[is(0, libc::AF_INET), STREAM, is(2, libc::IPPROTO_TCP)],
        &[is(0, libc::AF_INET6), STREAM, is(2, 0)],
        &[is(0, libc::AF_INET6), STREAM, is(2, libc::IPPROTO_TCP)],
    ]),
    rule!(SYS_socketpair, "waking the event loop from a signal handler").refuse_unless(&[&[is(0, libc::AF_UNIX)]]),
    rule!(SYS_connect, "connections to others; ports are Landlock's business"),
    rule!(SYS_epoll_create1, "event loop"),
    rule!(SYS_epoll_ctl, "event loop"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_epoll_wait, "event loop"),
    rule!(SYS_epoll_pwait, "event loop"),
    rule!(SYS_eventfd2, "waking the event loop"),
];

/// Asking name servers.
pub(super) const NAMES: &[Rule] = &[
    rule!(SYS_socket, "name servers are asked by UDP").refuse_unless(&[
        &[is(0, libc::AF_INET), DATAGRAM, is(2, 0)],
        &[is(0, libc::AF_INET), DATAGRAM, is(2, libc::IPPROTO_UDP)],
        &[is(0, libc::AF_INET6), DATAGRAM, is(2, 0)],
        &[is(0, libc::AF_INET6), DATAGRAM, is(2, libc::IPPROTO_UDP)],
    ]),
    rule!(SYS_sendmmsg, "glibc asks for both address families at once"),
];
