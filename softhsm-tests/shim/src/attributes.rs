//! Which attributes there are: rule 6. AWS userguide, "pkcs11-attributes-interpreting".

use cryptoki_sys::*;

use crate::template;

/// Set by the HSM alone.
pub(crate) const READ_ONLY: &[CK_ATTRIBUTE_TYPE] =
    &[CKA_LOCAL, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_CHECK_VALUE];

const SUPPORTED: &[CK_ATTRIBUTE_TYPE] = &[
    CKA_CLASS,
    CKA_KEY_TYPE,
    CKA_LABEL,
    CKA_ID,
    CKA_TOKEN,
    CKA_PRIVATE,
    CKA_ENCRYPT,
    CKA_DECRYPT,
    CKA_DERIVE,
    CKA_MODIFIABLE,
    CKA_DESTROYABLE,
    CKA_SIGN,
    CKA_VERIFY,
    CKA_WRAP,
    CKA_WRAP_WITH_TRUSTED,
    CKA_UNWRAP,
    CKA_TRUSTED,
    CKA_SENSITIVE,
    CKA_EXTRACTABLE,
    CKA_MODULUS,
    CKA_MODULUS_BITS,
    CKA_PUBLIC_EXPONENT,
    CKA_PRIVATE_EXPONENT,
    CKA_PRIME_1,
    CKA_PRIME_2,
    CKA_COEFFICIENT,
    CKA_EXPONENT_1,
    CKA_EXPONENT_2,
    CKA_EC_PARAMS,
    CKA_EC_POINT,
    CKA_VALUE,
    CKA_VALUE_LEN,
];

pub(crate) fn supported(kind: CK_ATTRIBUTE_TYPE) -> bool {
    SUPPORTED.contains(&kind) || READ_ONLY.contains(&kind)
}

/// Reads what CloudHSM has; the rest is CKR_ATTRIBUTE_TYPE_INVALID.
pub(crate) unsafe fn get(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    attributes: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's template.
    let asked = unsafe { template::attributes(attributes, count) }.to_vec();
    let mut known: Vec<CK_ATTRIBUTE> = asked.iter().copied().filter(|attribute| supported(attribute.type_)).collect();
    let number = CK_ULONG::try_from(known.len()).unwrap_or_default();
    let result = real!(C_GetAttributeValue(session, object, known.as_mut_ptr(), number));
    let mut read = known.into_iter();
    for (position, attribute) in asked.iter().enumerate() {
        let length = if supported(attribute.type_) { read.next().map(|read| read.ulValueLen) } else { None };
        // SAFETY: within the caller's template, which he expects to be changed.
        unsafe { (*attributes.add(position)).ulValueLen = length.unwrap_or(CK_UNAVAILABLE_INFORMATION) };
    }
    let all = asked.iter().all(|attribute| supported(attribute.type_));
    if result == CKR_OK && !all { CKR_ATTRIBUTE_TYPE_INVALID } else { result }
}

/// A byte string of an object's; empty if it has none.
pub(crate) fn bytes(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, kind: CK_ATTRIBUTE_TYPE) -> Vec<u8> {
    let mut room = vec![0_u8; 512];
    let length = CK_ULONG::try_from(room.len()).unwrap_or_default();
    let mut attribute = CK_ATTRIBUTE { type_: kind, pValue: room.as_mut_ptr().cast(), ulValueLen: length };
    let result = real!(C_GetAttributeValue(session, object, &raw mut attribute, 1));
    let found = if result == CKR_OK { usize::try_from(attribute.ulValueLen).unwrap_or_default() } else { 0 };
    room.truncate(found);
    room
}
