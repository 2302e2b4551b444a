//! How much one call takes: rule 5. AWS userguide, "ki-pkcs11-sdk" and "pkcs11-mechanisms".

use cryptoki_sys::*;

use crate::mechanisms::VENDOR_AES_GCM;

/// Most bytes that one call of this mechanism takes in.
pub(crate) fn longest(mechanism: CK_MECHANISM_TYPE) -> CK_ULONG {
    match mechanism {
        CKM_AES_GCM | VENDOR_AES_GCM | CKM_SHA384_HMAC | CKM_SHA512_HMAC => 16_224,
        CKM_AES_CBC | CKM_AES_CBC_PAD | CKM_AES_ECB | CKM_AES_CTR => 16_272,
        CKM_DES3_CBC | CKM_DES3_CBC_PAD | CKM_DES3_ECB => 16_280,
        CKM_SHA_1_HMAC | CKM_SHA256_HMAC => 16_288,
        CKM_SHA224_HMAC => 16_256,
        _ => CK_ULONG::MAX,
    }
}

/// What a decryption may take in: as much, and what an encryption adds.
pub(crate) fn longest_encrypted(mechanism: CK_MECHANISM_TYPE) -> CK_ULONG {
    let (iv, block_or_tag) = (12, 16);
    longest(mechanism).saturating_add(iv + block_or_tag)
}

/// Whether the mechanism takes everything in one call only.
pub(crate) fn one_part(mechanism: CK_MECHANISM_TYPE) -> bool {
    matches!(
        mechanism,
        CKM_AES_GCM | VENDOR_AES_GCM | CKM_RSA_PKCS_OAEP | CKM_RSA_PKCS_PSS | CKM_RSA_PKCS | CKM_RSA_X_509 | CKM_ECDSA
    )
}
