//! Digests, signatures and MACs: rules 3 and 5.

use cryptoki_sys::*;

use crate::encryption::{begin, goes_on, in_parts, one_call};
use crate::mechanisms::{Use, allows};
use crate::state::{self, Operation};
use crate::{limits, violation};

type Bytes = *mut CK_BYTE;
type Length = *mut CK_ULONG;

pub(crate) unsafe fn digest_init(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM) -> CK_RV {
    // SAFETY: the caller's pointer, null or good.
    match unsafe { mechanism.as_ref() } {
        Some(asked) if !allows(asked.mechanism, Use::Digest) => CKR_MECHANISM_INVALID,
        _ => real!(C_DigestInit(session, mechanism)),
    }
}

pub(crate) unsafe fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's pointer, null or good.
    let Some(asked) = (unsafe { mechanism.as_ref() }) else { return real!(C_SignInit(session, mechanism, key)) };
    if let Err(refusal) = begin(session, asked.mechanism, Use::Sign, key, "C_SignInit") {
        return refusal;
    }
    let result = real!(C_SignInit(session, mechanism, key));
    let operation = (result == CKR_OK).then_some(Operation { mechanism: asked.mechanism, parts: false });
    state::with(session, |session| session.signature = operation);
    result
}

pub(crate) unsafe fn sign(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    let operation = state::with(session, |session| session.signature.take());
    if let Some(operation) = &operation
        && let Err(refusal) = one_call(session, operation, length, limits::longest(operation.mechanism))
    {
        return refusal;
    }
    let result = real!(C_Sign(session, data, length, out, out_length));
    if goes_on(result, out) {
        state::with(session, |session| session.signature = operation);
    }
    result
}

pub(crate) unsafe fn sign_update(session: CK_SESSION_HANDLE, data: Bytes, length: CK_ULONG) -> CK_RV {
    let parts = state::with(session, |session| session.signature.as_mut().is_none_or(in_parts));
    if parts { real!(C_SignUpdate(session, data, length)) } else { CKR_MECHANISM_INVALID }
}

pub(crate) unsafe fn sign_final(session: CK_SESSION_HANDLE, out: Bytes, out_length: Length) -> CK_RV {
    let result = real!(C_SignFinal(session, out, out_length));
    if !goes_on(result, out) {
        state::with(session, |session| session.signature = None);
    }
    result
}

pub(crate) unsafe fn verify_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's pointer, null or good.
    let Some(asked) = (unsafe { mechanism.as_ref() }) else {
        return real!(C_VerifyInit(session, mechanism, key));
    };
    if let Err(refusal) = begin(session, asked.mechanism, Use::Sign, key, "C_VerifyInit") {
        return refusal;
    }
    let result = real!(C_VerifyInit(session, mechanism, key));
    let operation = (result == CKR_OK).then_some(Operation { mechanism: asked.mechanism, parts: false });
    state::with(session, |session| session.verification = operation);
    result
}

pub(crate) unsafe fn verify(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    signature: Bytes,
    signature_length: CK_ULONG,
) -> CK_RV {
    match state::with(session, |session| session.verification.take()) {
        Some(operation) => match one_call(session, &operation, length, limits::longest(operation.mechanism)) {
            Err(refusal) => refusal,
            Ok(()) => real!(C_Verify(session, data, length, signature, signature_length)),
        },
        None => {
            violation::report("C_Verify with nothing begun");
            CKR_OPERATION_NOT_INITIALIZED
        }
    }
}

pub(crate) unsafe fn verify_update(session: CK_SESSION_HANDLE, data: Bytes, length: CK_ULONG) -> CK_RV {
    let parts = state::with(session, |session| session.verification.as_mut().is_none_or(in_parts));
    if parts { real!(C_VerifyUpdate(session, data, length)) } else { CKR_MECHANISM_INVALID }
}

pub(crate) unsafe fn verify_final(session: CK_SESSION_HANDLE, signature: Bytes, length: CK_ULONG) -> CK_RV {
    state::with(session, |session| session.verification = None);
    real!(C_VerifyFinal(session, signature, length))
}
