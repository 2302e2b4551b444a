//! Which mechanism is good for what: rule 3. AWS userguide, "pkcs11-mechanisms".

use cryptoki_sys::*;

use crate::settings;

/// `CKM_CLOUDHSM_AES_GCM` (`cloudhsm_pkcs11_vendor_defs.h`): AES-GCM whose IV stands in front of the ciphertext.
pub(crate) const VENDOR_AES_GCM: CK_MECHANISM_TYPE = 0x8000_1087;

/// What a mechanism is asked to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Use {
    Generate,
    Sign,
    Digest,
    Encrypt,
    Derive,
    Wrap,
}
use Use::*;

/// The list of AWS's guide, but for the mechanisms of the vendor's that SoftHSM has nothing like.
const OFFERED: &[(CK_MECHANISM_TYPE, &[Use])] = &[
    (CKM_RSA_PKCS_KEY_PAIR_GEN, &[Generate]),
    (CKM_RSA_X9_31_KEY_PAIR_GEN, &[Generate]),
    (CKM_EC_KEY_PAIR_GEN, &[Generate]),
    (CKM_GENERIC_SECRET_KEY_GEN, &[Generate]),
    (CKM_AES_KEY_GEN, &[Generate]),
    (CKM_DES3_KEY_GEN, &[Generate]),
    (CKM_RSA_X_509, &[Sign, Encrypt]),
    (CKM_RSA_PKCS, &[Sign, Encrypt, Wrap]),
    (CKM_RSA_PKCS_PSS, &[Sign]),
    (CKM_SHA1_RSA_PKCS, &[Sign]),
    (CKM_SHA224_RSA_PKCS, &[Sign]),
    (CKM_SHA256_RSA_PKCS, &[Sign]),
    (CKM_SHA384_RSA_PKCS, &[Sign]),
    (CKM_SHA512_RSA_PKCS, &[Sign]),
    (CKM_SHA1_RSA_PKCS_PSS, &[Sign]),
    (CKM_SHA224_RSA_PKCS_PSS, &[Sign]),
    (CKM_SHA256_RSA_PKCS_PSS, &[Sign]),
    (CKM_SHA384_RSA_PKCS_PSS, &[Sign]),
    (CKM_SHA512_RSA_PKCS_PSS, &[Sign]),
    (CKM_ECDSA, &[Sign]),
    (CKM_ECDSA_SHA1, &[Sign]),
    (CKM_ECDSA_SHA224, &[Sign]),
    (CKM_ECDSA_SHA256, &[Sign]),
    (CKM_ECDSA_SHA384, &[Sign]),
    (CKM_ECDSA_SHA512, &[Sign]),
    (CKM_SHA_1_HMAC, &[Sign]),
    (CKM_SHA224_HMAC, &[Sign]),
    (CKM_SHA256_HMAC, &[Sign]),
    (CKM_SHA384_HMAC, &[Sign]),
    (CKM_SHA512_HMAC, &[Sign]),
    (CKM_AES_CMAC, &[Sign]),
    (CKM_SHA_1, &[Digest]),
    (CKM_SHA224, &[Digest]),
    (CKM_SHA256, &[Digest]),
    (CKM_SHA384, &[Digest]),
    (CKM_SHA512, &[Digest]),
    (CKM_AES_ECB, &[Encrypt]),
    (CKM_AES_CTR, &[Encrypt]),
    (CKM_AES_CBC, &[Encrypt]),
    (CKM_AES_CBC_PAD, &[Encrypt]),
    (CKM_AES_GCM, &[Encrypt, Wrap]),
    (VENDOR_AES_GCM, &[Encrypt, Wrap]),
    (CKM_RSA_PKCS_OAEP, &[Encrypt, Wrap]),
    (CKM_DES3_ECB, &[Encrypt]),
    (CKM_DES3_CBC, &[Encrypt]),
    (CKM_DES3_CBC_PAD, &[Encrypt]),
    (CKM_ECDH1_DERIVE, &[Derive]),
    (CKM_RSA_AES_KEY_WRAP, &[Wrap]),
];

/// Disallowed in FIPS mode since 2023: DES3 altogether, RSA PKCS#1 v1.5 for encryption.
fn fips_forbids(mechanism: CK_MECHANISM_TYPE, purpose: Use) -> bool {
    match mechanism {
        CKM_DES3_KEY_GEN | CKM_DES3_ECB | CKM_DES3_CBC | CKM_DES3_CBC_PAD => true,
        CKM_RSA_PKCS | CKM_RSA_X_509 => matches!(purpose, Encrypt | Wrap),
        _ => false,
    }
}

/// Whether CloudHSM does this with this mechanism.
pub(crate) fn allows(mechanism: CK_MECHANISM_TYPE, purpose: Use) -> bool {
    let offered = OFFERED.iter().any(|(offered, uses)| *offered == mechanism && uses.contains(&purpose));
    offered && !(settings::get().is_ok_and(|settings| settings.fips) && fips_forbids(mechanism, purpose))
}

fn offers(mechanism: CK_MECHANISM_TYPE) -> bool {
    OFFERED
        .iter()
        .filter(|(offered, _)| *offered == mechanism)
        .any(|(_, uses)| uses.iter().any(|purpose| allows(mechanism, *purpose)))
}

/// What both CloudHSM and SoftHSM have, and the vendor's GCM, which is made here.
pub(crate) unsafe fn list(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) -> CK_RV {
    let mut known = vec![0; 512];
    let mut room = CK_ULONG::try_from(known.len()).unwrap_or_default();
    let result = real!(C_GetMechanismList(slot, known.as_mut_ptr(), &raw mut room));
    if result != CKR_OK {
        return result;
    }
    known.truncate(usize::try_from(room).unwrap_or_default());
    known.retain(|mechanism| offers(*mechanism));
    known.push(VENDOR_AES_GCM);
    // SAFETY: the caller's pointer, which PKCS#11 wants not null.
    let Some(count) = (unsafe { count.as_mut() }) else { return CKR_ARGUMENTS_BAD };
    let room = std::mem::replace(count, CK_ULONG::try_from(known.len()).unwrap_or_default());
    if list.is_null() {
        return CKR_OK;
    }
    if room < *count {
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: the caller says that there is room for as many.
    unsafe { std::ptr::copy_nonoverlapping(known.as_ptr(), list, known.len()) };
    CKR_OK
}

pub(crate) unsafe fn info(slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) -> CK_RV {
    match mechanism {
        VENDOR_AES_GCM => real!(C_GetMechanismInfo(slot, CKM_AES_GCM, info)),
        other if offers(other) => real!(C_GetMechanismInfo(slot, other, info)),
        _ => CKR_MECHANISM_INVALID,
    }
}
