//! Connections to others, for those who make them.

use super::{Arg, Rule, is, masked, rule};

/// Bits of a socket's type that are flags.
const KIND: u32 = !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).cast_unsigned();

const STREAM: Arg = masked(1, KIND, libc::SOCK_STREAM);
const DATAGRAM: Arg = masked(1, KIND, libc::SOCK_DGRAM);

/// TCP and local streams: no raw, packet, netlink or vsock sockets.
pub(super) const STREAM_SOCKETS: &[&[Arg]] = &[
    &[is(0, libc::AF_UNIX), STREAM],
    &[is(0, libc::AF_INET), STREAM, is(2, 0)],
    &[is(0, libc::AF_INET), STREAM, is(2, libc::IPPROTO_TCP)],
    &[is(0, libc::AF_INET6), STREAM, is(2, 0)],
    &[is(0, libc::AF_INET6), STREAM, is(2, libc::IPPROTO_TCP)],
];

const NETWORK_HSM: &str = "an HSM behind a network (network = true)";

/// Connecting, and waiting for the answer.
pub(super) const OUTGOING: &[Rule] = &[
    rule!(SYS_socket, "TCP and local streams").refuse_unless(STREAM_SOCKETS).never_in_tests(NETWORK_HSM),
    rule!(SYS_connect, "connections to others; ports are Landlock's business").never_in_tests(NETWORK_HSM),
    rule!(SYS_getsockopt, "whether a connection came about").never_in_tests(NETWORK_HSM),
    rule!(SYS_setsockopt, "deadlines, no-delay, keep-alive").never_in_tests(NETWORK_HSM),
    rule!(SYS_getsockname, "own address").never_in_tests(NETWORK_HSM),
    rule!(SYS_getpeername, "peer's address").never_in_tests(NETWORK_HSM),
    rule!(SYS_shutdown, "ending a connection").never_in_tests(NETWORK_HSM),
    rule!(SYS_sendmsg, "sending").never_in_tests(NETWORK_HSM),
    rule!(SYS_recvmsg, "receiving").never_in_tests(NETWORK_HSM),
    rule!(SYS_epoll_create1, "event loop").never_in_tests(NETWORK_HSM),
    rule!(SYS_epoll_ctl, "event loop").never_in_tests(NETWORK_HSM),
    rule!(SYS_epoll_pwait, "event loop").never_in_tests(NETWORK_HSM),
    rule!(SYS_eventfd2, "waking the event loop").never_in_tests(NETWORK_HSM),
    rule!(SYS_socketpair, "waking the event loop from a signal handler")
        .refuse_unless(&[&[is(0, libc::AF_UNIX)]])
        .never_in_tests(NETWORK_HSM),
];

/// What glibc calls on this architecture in place of the newer form.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD_FORMS: &[Rule] = &[rule!(SYS_epoll_wait, "event loop").never_in_tests(NETWORK_HSM)];
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OLD_FORMS: &[Rule] = &[];

/// Asking name servers.
pub(super) const NAMES: &[Rule] = &[
    rule!(SYS_socket, "name servers are asked by UDP")
        .refuse_unless(&[
            &[is(0, libc::AF_INET), DATAGRAM, is(2, 0)],
            &[is(0, libc::AF_INET), DATAGRAM, is(2, libc::IPPROTO_UDP)],
            &[is(0, libc::AF_INET6), DATAGRAM, is(2, 0)],
            &[is(0, libc::AF_INET6), DATAGRAM, is(2, libc::IPPROTO_UDP)],
        ])
        .never_in_tests(NETWORK_HSM),
    rule!(SYS_sendmmsg, "glibc asks for both address families at once").never_in_tests(NETWORK_HSM),
];
