//! What the server role needs beyond files and the network: it listens, and none of its memory is code.

use super::{Rule, masked, rule};

const EXECUTE: u32 = libc::PROT_EXEC.cast_unsigned();

pub(super) const SERVER: &[Rule] = &[
    rule!(SYS_bind, "listening; ports are Landlock's business"),
    rule!(SYS_listen, "listening"),
    rule!(SYS_accept4, "connections of clients"),
    rule!(SYS_mmap, "memory and files; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
    rule!(SYS_mprotect, "guard pages, malloc's heaps; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
];
