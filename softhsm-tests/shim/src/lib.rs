//! A PKCS#11 module that behaves like AWS CloudHSM, Client SDK 5, in front of SoftHSMv2; for tests only.
//!
//! SoftHSM accepts almost everything, CloudHSM refuses much of it: what passes on the first may fail on the second, or worse
//! (SoftHSM encrypts under an all-zero IV where CloudHSM would have made one). This module forwards to SoftHSM what
//! CloudHSM would do and refuses the rest; each rule names the section of AWS's guide that it comes from. Where AWS does
//! not publish a return code, the one that is hardest for a client was taken, and the rule says so.
//!
//! It also does what real HSMs do rarely: it fails, hangs, forgets its sessions, or takes the process down, as a test tells
//! it over a [control socket](order). And it watches: every IV of an AES-GCM encryption is written down, and a zero or
//! repeated one, like any other misuse, is a [violation] that the harness turns into a failed test.
//!
//! Settings come from the file that the environment variable `CLOUDHSM_SHIM` names; see [`settings`].
//!
//! JUSTIFICATION of the `unsafe` here: a module is called through C function pointers with raw pointers, which PKCS#11
//! makes the caller answer for. Each function is sound if its caller keeps to PKCS#11 v2.40.

// First: its macro is used by the others.
#[macro_use]
mod real;

mod attributes;
mod control;
mod encryption;
mod functions;
mod gate;
mod gcm;
mod iv;
mod keys;
mod limits;
mod making;
mod mechanisms;
pub mod order;
mod sessions;
pub mod settings;
mod signing;
mod state;
mod template;
mod token;
mod violation;

pub use violation::FILE as VIOLATIONS;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CKR_ARGUMENTS_BAD, CKR_OK};

/// The one symbol that PKCS#11 v2.40 asks of a module.
///
/// # Safety
/// `list` is null or may be written to.
// SAFETY: no other library in the process is loaded for its global symbols.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the standard's name")]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: see above. Callers read the list only: it is a constant table.
    unsafe { *list = (&raw const functions::LIST).cast_mut() };
    CKR_OK
}
