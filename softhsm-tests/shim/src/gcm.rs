//! AES-GCM whose IV the HSM makes: rule 4.
//!
//! AWS userguide, "pkcs11-mechanisms": `CKM_AES_GCM` wants `pIv` to point to zeros and has the IV there after `C_Encrypt`;
//! `CKM_CLOUDHSM_AES_GCM` wants `pIv` null and puts the IV in front of the ciphertext, from where decryption takes it.

use cryptoki_sys::*;

use crate::mechanisms::VENDOR_AES_GCM;
use crate::settings::{self, GcmIv};
use crate::state::{Encryption, IvPlace};
use crate::{gate, keys};

/// Bytes of an IV.
pub(crate) const IV: usize = 12;

type Bytes = *mut CK_BYTE;
type Length = *mut CK_ULONG;

/// Begins an encryption, under the IV that the settings call for.
pub(crate) fn encrypt_init(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM_TYPE,
    asked: CK_GCM_PARAMS,
    key: CK_OBJECT_HANDLE,
) -> Result<Encryption, CK_RV> {
    let length = usize::try_from(asked.ulIvLen).unwrap_or_default();
    let given = if asked.pIv.is_null() {
        Vec::new()
    } else {
        // SAFETY: the caller's IV, as long as he says.
        unsafe { std::slice::from_raw_parts(asked.pIv, length) }.to_vec()
    };
    let policy = settings::get().map_or(GcmIv::Accept, |settings| settings.gcm_iv);
    let own = |place| made(session).map(|iv| (iv, place));
    let (iv, place) = if mechanism == VENDOR_AES_GCM {
        if asked.pIv.is_null() { own(IvPlace::Prepended) } else { Err(CKR_MECHANISM_PARAM_INVALID) }
    } else if !gate::rules() || policy == GcmIv::Accept {
        Ok((given, IvPlace::Callers))
    } else if given.len() != IV || (policy == GcmIv::Refuse && given.iter().any(|byte| *byte != 0)) {
        Err(CKR_MECHANISM_PARAM_INVALID)
    } else {
        own(IvPlace::Written(asked.pIv.addr()))
    }?;
    match init_with(asked, &mut iv.clone(), |mechanism| real!(C_EncryptInit(session, mechanism, key))) {
        CKR_OK => Ok(Encryption::Gcm { key: keys::name(session, key), iv, place }),
        refusal => Err(refusal),
    }
}

/// Begins an operation of SoftHSM's with this IV in place of the caller's.
pub(crate) fn init_with(asked: CK_GCM_PARAMS, iv: &mut [u8], init: impl FnOnce(*mut CK_MECHANISM) -> CK_RV) -> CK_RV {
    let length = CK_ULONG::try_from(iv.len()).unwrap_or_default();
    let mut parameters = CK_GCM_PARAMS { pIv: iv.as_mut_ptr(), ulIvLen: length, ulIvBits: length * 8, ..asked };
    let mut mechanism = CK_MECHANISM {
        mechanism: CKM_AES_GCM,
        pParameter: (&raw mut parameters).cast(),
        ulParameterLen: CK_ULONG::try_from(size_of::<CK_GCM_PARAMS>()).unwrap_or_default(),
    };
    init(&raw mut mechanism)
}

/// A fresh IV from the HSM's generator, if the session is good.
fn made(session: CK_SESSION_HANDLE) -> Result<Vec<u8>, CK_RV> {
    let mut iv = vec![0; IV];
    match real!(C_GenerateRandom(session, iv.as_mut_ptr(), 12)) {
        CKR_OK => Ok(iv),
        refusal => Err(refusal),
    }
}

/// The parameters of an AES-GCM mechanism.
///
/// # Safety
/// The mechanism's parameters are as it says.
pub(crate) unsafe fn parameters(mechanism: &CK_MECHANISM) -> Option<CK_GCM_PARAMS> {
    let whole = usize::try_from(mechanism.ulParameterLen) == Ok(size_of::<CK_GCM_PARAMS>());
    // SAFETY: not null and of the right size.
    (whole && !mechanism.pParameter.is_null()).then(|| unsafe { *mechanism.pParameter.cast::<CK_GCM_PARAMS>() })
}

/// `C_Encrypt` of the vendor's mechanism.
///
/// # Safety
/// The pointers are a caller's who keeps to PKCS#11.
pub(crate) unsafe fn encrypt_with_iv_in_front(
    session: CK_SESSION_HANDLE,
    iv: &[u8],
    (data, length): (Bytes, CK_ULONG),
    out: Bytes,
    out_length: Length,
) -> CK_RV {
    // SAFETY: the caller's pointer, which PKCS#11 wants not null.
    let Some(room) = (unsafe { out_length.as_mut() }) else { return CKR_ARGUMENTS_BAD };
    let mut inner = room.saturating_sub(12);
    let place = if out.is_null() || *room < 12 {
        std::ptr::null_mut()
    } else {
        // SAFETY: there is room for 12 bytes and more.
        unsafe { out.add(IV) }
    };
    let result = real!(C_Encrypt(session, data, length, place, &raw mut inner));
    *room = inner.saturating_add(12);
    if result != CKR_OK || out.is_null() {
        return result;
    }
    if place.is_null() {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(iv.as_ptr(), out, IV) };
    CKR_OK
}
