//! Hostile clients, over TLS, against a real server with an HSM: each gets a 4xx or a closed connection, never a 5xx and never
//! silence; the server stays up, stays small, and tells nobody's secrets to its logs.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod bodies;
mod connections;
mod fields;
mod frames;
mod heads;
mod http2;
mod races;
mod slow;
mod target;
mod wire;

use target::Target;

type Attack = (&'static str, fn(&Target));

const QUICK: &[Attack] = &[
    ("requests that are none", heads::malformed),
    ("unusual but sound requests", heads::unusual),
    ("requests in requests", heads::smuggled),
    ("methods", heads::methods),
    ("paths", heads::paths),
    ("heads without end", heads::huge),
    ("bodies", bodies::malformed),
    ("tokens of one use", races::one_use),
    ("HTTP/2 frames", http2::malformed),
    ("HTTP/2 heads", http2::heads),
    ("HTTP/2 resets", http2::resets),
    ("HTTP/2 floods", http2::floods),
    ("bodies without end", bodies::huge),
    ("fields of every route", fields::wrong_types),
    ("names in every path", fields::hostile_names),
    ("idle connections", connections::idle),
    ("half handshakes", connections::handshakes),
];

/// What is mostly waiting for time limits: `make test-slow` alone.
const LONG: &[Attack] = &[("slow clients", slow::everywhere), ("HTTP/2 windows", http2::stalls)];

#[test]
fn hostile_clients_get_nowhere() {
    let target = Target::start();
    for (what, attack) in QUICK.iter().chain(LONG.iter().filter(|_| softhsm_tests::long())) {
        attack(&target);
        target.is_well(what);
    }
    target.told_nothing();
}
