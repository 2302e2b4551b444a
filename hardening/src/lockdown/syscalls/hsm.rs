//! What the hsm role needs: a vendor's PKCS#11 library, loaded before the filter, with its files and threads.

use super::{Rule, masked, rule};

const WRITE: u32 = libc::PROT_WRITE.cast_unsigned();
const EXECUTE: u32 = libc::PROT_EXEC.cast_unsigned();

pub(super) const HSM: &[Rule] = &[
    rule!(SYS_mlock, "OpenSSL's secure heap"),
    rule!(SYS_munlock, "OpenSSL's secure heap"),
    rule!(SYS_socket, "syslog in libraries, which do without; hsm_network allows TCP").refused(),
    rule!(SYS_umask, "SoftHSM sets the mode of its token's files"),
];

/// Libraries loaded late (an OpenSSL provider) are mapped executable, but never writable at the same time, and
/// nothing becomes executable later.
pub(super) const LOADED_CODE: &[Rule] = &[
    rule!(SYS_mmap, "memory, files, libraries; never writable and executable")
        .refuse_unless(&[&[masked(2, WRITE, 0)], &[masked(2, EXECUTE, 0)]]),
    rule!(SYS_mprotect, "guard pages, relocations; never executable").refuse_unless(&[&[masked(2, EXECUTE, 0)]]),
];

/// For a vendor's library that generates code.
pub(super) const WRITABLE_CODE: &[Rule] = &[
    rule!(SYS_mmap, "memory, files, libraries that write their own code"),
    rule!(SYS_mprotect, "memory, files, libraries that write their own code"),
];
