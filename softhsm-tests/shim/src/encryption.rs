//! Encrypting and decrypting: rules 4 and 5, and one operation at a time (rule 12).
//!
//! AWS userguide, "ki-pkcs11-sdk": AES-GCM in one part only, CKR_MECHANISM_INVALID for more.

use cryptoki_sys::*;

use crate::mechanisms::{Use, VENDOR_AES_GCM, allows};
use crate::state::{self, Decryption, Encryption, IvPlace, Operation};
use crate::{gate, gcm, iv, keys, limits, violation};

type Bytes = *mut CK_BYTE;
type Length = *mut CK_ULONG;

pub(crate) unsafe fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's pointer, null or good.
    let Some(asked) = (unsafe { mechanism.as_ref() }) else {
        return real!(C_EncryptInit(session, mechanism, key));
    };
    let rules = gate::rules();
    if rules && let Err(refusal) = begin(session, asked.mechanism, Use::Encrypt, key, "C_EncryptInit") {
        return refusal;
    }
    let is_gcm = asked.mechanism == CKM_AES_GCM || (rules && asked.mechanism == VENDOR_AES_GCM);
    let begun = if is_gcm {
        // SAFETY: the mechanism is the caller's, with the parameters that go with it.
        let parameters = unsafe { gcm::parameters(asked) }.ok_or(CKR_MECHANISM_PARAM_INVALID);
        parameters.and_then(|parameters| gcm::encrypt_init(session, asked.mechanism, parameters, key))
    } else {
        match real!(C_EncryptInit(session, mechanism, key)) {
            CKR_OK => Ok(Encryption::Plain(Operation { mechanism: asked.mechanism, parts: false })),
            refusal => Err(refusal),
        }
    };
    match begun {
        Ok(operation) => {
            state::with(session, |session| session.encryption = Some(operation));
            CKR_OK
        }
        Err(refusal) => refusal,
    }
}

pub(crate) unsafe fn encrypt(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    // Taken out for the call, so that no lock is held meanwhile; the session is ours alone until it returns.
    let operation = state::with(session, |session| session.encryption.take());
    let result = match &operation {
        None => real!(C_Encrypt(session, data, length, out, out_length)),
        Some(Encryption::Plain(operation)) => {
            if let Err(refusal) = one_call(session, operation, length, limits::longest(operation.mechanism)) {
                return refusal;
            }
            real!(C_Encrypt(session, data, length, out, out_length))
        }
        Some(Encryption::Gcm { .. }) if gate::rules() && length > limits::longest(CKM_AES_GCM) => {
            // The operation of SoftHSM's is still active; the client must not use this session again.
            return CKR_DATA_LEN_RANGE;
        }
        Some(Encryption::Gcm { place: IvPlace::Prepended, iv, .. }) => {
            // SAFETY: as for this function.
            unsafe { gcm::encrypt_with_iv_in_front(session, iv, (data, length), out, out_length) }
        }
        Some(Encryption::Gcm { .. }) => real!(C_Encrypt(session, data, length, out, out_length)),
    };
    if goes_on(result, out) {
        state::with(session, |session| session.encryption = operation);
    } else if let (CKR_OK, Some(Encryption::Gcm { key, iv, place })) = (result, operation) {
        iv::used(&key, &iv);
        if let IvPlace::Written(address) = place {
            let place = std::ptr::with_exposed_provenance_mut::<CK_BYTE>(address);
            // SAFETY: `pIv` of C_EncryptInit, 12 bytes, which CloudHSM too wants to be there until C_Encrypt returns.
            unsafe { std::ptr::copy_nonoverlapping(iv.as_ptr(), place, gcm::IV) };
        }
    }
    result
}

pub(crate) unsafe fn encrypt_update(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    let parts = state::with(session, |session| match &mut session.encryption {
        Some(Encryption::Gcm { .. }) => false,
        Some(Encryption::Plain(operation)) => in_parts(operation),
        None => true,
    });
    if parts { real!(C_EncryptUpdate(session, data, length, out, out_length)) } else { CKR_MECHANISM_INVALID }
}

pub(crate) unsafe fn encrypt_final(session: CK_SESSION_HANDLE, out: Bytes, out_length: Length) -> CK_RV {
    if state::with(session, |session| matches!(session.encryption, Some(Encryption::Gcm { .. }))) {
        return CKR_MECHANISM_INVALID;
    }
    let result = real!(C_EncryptFinal(session, out, out_length));
    if !goes_on(result, out) {
        state::with(session, |session| session.encryption = None);
    }
    result
}

pub(crate) unsafe fn decrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's pointer, null or good.
    let Some(asked) = (unsafe { mechanism.as_ref() }) else {
        return real!(C_DecryptInit(session, mechanism, key));
    };
    if let Err(refusal) = begin(session, asked.mechanism, Use::Encrypt, key, "C_DecryptInit") {
        return refusal;
    }
    let operation = match asked.mechanism {
        VENDOR_AES_GCM => {
            // SAFETY: the mechanism is the caller's, with the parameters that go with it.
            let Some(parameters) = (unsafe { gcm::parameters(asked) }) else { return CKR_MECHANISM_PARAM_INVALID };
            let length = usize::try_from(parameters.ulAADLen).unwrap_or_default();
            let aad = if parameters.pAAD.is_null() {
                Vec::new()
            } else {
                // SAFETY: the caller's associated data, as long as he says.
                unsafe { std::slice::from_raw_parts(parameters.pAAD, length) }.to_vec()
            };
            Decryption::Prepended { key, aad, tag_bits: parameters.ulTagBits, begun: false }
        }
        other => {
            let result = real!(C_DecryptInit(session, mechanism, key));
            if result != CKR_OK {
                return result;
            }
            match other {
                CKM_AES_GCM => Decryption::Gcm,
                mechanism => Decryption::Plain(Operation { mechanism, parts: false }),
            }
        }
    };
    state::with(session, |session| session.decryption = Some(operation));
    CKR_OK
}

pub(crate) unsafe fn decrypt(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    let mut operation = state::with(session, |session| session.decryption.take());
    let (mut data, mut length) = (data, length);
    match &mut operation {
        None => {}
        Some(Decryption::Plain(operation)) => {
            if let Err(refusal) = one_call(session, operation, length, limits::longest_encrypted(operation.mechanism)) {
                return refusal;
            }
        }
        Some(Decryption::Gcm) if length > limits::longest_encrypted(CKM_AES_GCM) => {
            return CKR_ENCRYPTED_DATA_LEN_RANGE;
        }
        Some(Decryption::Gcm) => {}
        Some(Decryption::Prepended { key, aad, tag_bits, begun }) => {
            if data.is_null() || length < 12 || length > limits::longest_encrypted(VENDOR_AES_GCM) {
                return CKR_ENCRYPTED_DATA_LEN_RANGE;
            }
            if !*begun {
                // SAFETY: not null, and at least as long.
                let mut iv = unsafe { std::slice::from_raw_parts(data, gcm::IV) }.to_vec();
                let asked = CK_GCM_PARAMS {
                    pIv: std::ptr::null_mut(),
                    ulIvLen: 0,
                    ulIvBits: 0,
                    pAAD: aad.as_mut_ptr(),
                    ulAADLen: CK_ULONG::try_from(aad.len()).unwrap_or_default(),
                    ulTagBits: *tag_bits,
                };
                let result = gcm::init_with(asked, &mut iv, |mechanism| real!(C_DecryptInit(session, mechanism, *key)));
                if result != CKR_OK {
                    return result;
                }
                *begun = true;
            }
            // SAFETY: at least as long.
            (data, length) = (unsafe { data.add(gcm::IV) }, length - 12);
        }
    }
    let result = real!(C_Decrypt(session, data, length, out, out_length));
    if goes_on(result, out) {
        state::with(session, |session| session.decryption = operation);
    }
    result
}

pub(crate) unsafe fn decrypt_update(
    session: CK_SESSION_HANDLE,
    data: Bytes,
    length: CK_ULONG,
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    let parts = state::with(session, |session| match &mut session.decryption {
        Some(Decryption::Gcm | Decryption::Prepended { .. }) => false,
        Some(Decryption::Plain(operation)) => in_parts(operation),
        None => true,
    });
    if parts { real!(C_DecryptUpdate(session, data, length, out, out_length)) } else { CKR_MECHANISM_INVALID }
}

pub(crate) unsafe fn decrypt_final(session: CK_SESSION_HANDLE, out: Bytes, out_length: Length) -> CK_RV {
    let plain = state::with(session, |session| matches!(session.decryption, None | Some(Decryption::Plain(_))));
    if !plain {
        return CKR_MECHANISM_INVALID;
    }
    let result = real!(C_DecryptFinal(session, out, out_length));
    if !goes_on(result, out) {
        state::with(session, |session| session.decryption = None);
    }
    result
}

/// What holds for the beginning of every operation with a key.
pub(crate) fn begin(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_TYPE,
    purpose: Use,
    key: CK_OBJECT_HANDLE,
    function: &str,
) -> Result<(), CK_RV> {
    if !allows(mechanism, purpose) {
        return Err(CKR_MECHANISM_INVALID);
    }
    let misused = state::with(session, |session| {
        let active = match function {
            "C_EncryptInit" => session.encryption.is_some(),
            "C_DecryptInit" => session.decryption.is_some(),
            "C_SignInit" => session.signature.is_some(),
            _ => session.verification.is_some(),
        };
        active && !session.disturbed
    });
    if misused {
        // AWS userguide, "ki-pkcs11-sdk": CloudHSM goes on, and gives wrong results.
        violation::report(&format!("{function} while such an operation is active"));
        return Err(CKR_OPERATION_ACTIVE);
    }
    if keys::not_yet_available(session, key) { Err(CKR_FUNCTION_FAILED) } else { Ok(()) }
}

/// What holds for an operation done in one call.
pub(crate) fn one_call(
    session: CK_SESSION_HANDLE,
    operation: &Operation,
    length: CK_ULONG,
    longest: CK_ULONG,
) -> Result<(), CK_RV> {
    if !gate::rules() {
        return Ok(());
    }
    let disturbed = state::with(session, |session| session.disturbed);
    if operation.parts && !disturbed {
        violation::report("a call in one part after a call with a part");
        return Err(CKR_OPERATION_ACTIVE);
    }
    if length > longest { Err(CKR_DATA_LEN_RANGE) } else { Ok(()) }
}

/// Whether an operation is still active after its last call: the caller asked for the length only, or gave too little room
/// (PKCS#11 3.0, section 5.2).
pub(crate) fn goes_on(result: CK_RV, out: Bytes) -> bool {
    result == CKR_BUFFER_TOO_SMALL || (result == CKR_OK && out.is_null())
}

/// A part is given: whether the mechanism takes parts.
pub(crate) fn in_parts(operation: &mut Operation) -> bool {
    operation.parts = true;
    !limits::one_part(operation.mechanism)
}
