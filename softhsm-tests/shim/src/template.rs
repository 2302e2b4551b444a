//! Templates of new keys: rule 6. AWS userguide, "pkcs11-attributes-interpreting" and "attr-errors".

use cryptoki_sys::*;

use crate::attributes::{READ_ONLY, supported};

static TRUE: CK_BBOOL = CK_TRUE;
static FALSE: CK_BBOOL = CK_FALSE;

/// What a new object is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum New {
    Secret,
    Private,
    Public,
}

/// What CloudHSM takes for granted where the template says nothing.
const OF_ALL: &[(CK_ATTRIBUTE_TYPE, bool)] = &[
    // A session key: it lives on one HSM, and is lost with it.
    (CKA_TOKEN, false),
    (CKA_PRIVATE, true),
    (CKA_DERIVE, false),
    (CKA_MODIFIABLE, true),
];
const OF_SECRET: &[(CK_ATTRIBUTE_TYPE, bool)] = &[
    (CKA_EXTRACTABLE, true),
    (CKA_ENCRYPT, false),
    (CKA_DECRYPT, false),
    (CKA_SIGN, true),
    (CKA_VERIFY, true),
    (CKA_WRAP, false),
    (CKA_UNWRAP, false),
];
const OF_PRIVATE: &[(CK_ATTRIBUTE_TYPE, bool)] =
    &[(CKA_SENSITIVE, true), (CKA_EXTRACTABLE, true), (CKA_DECRYPT, false), (CKA_SIGN, false), (CKA_UNWRAP, false)];
const OF_PUBLIC: &[(CK_ATTRIBUTE_TYPE, bool)] = &[(CKA_ENCRYPT, false), (CKA_VERIFY, false), (CKA_WRAP, false)];

/// May be given only as they are by default (annotation 1 of AWS's table).
const FIXED: &[(CK_ATTRIBUTE_TYPE, bool)] = &[(CKA_PRIVATE, true), (CKA_MODIFIABLE, true)];

/// The template as SoftHSM must see it to make what CloudHSM would have made of it, or the refusal.
///
/// # Safety
/// `template` points to `count` attributes whose values are as long as they say.
pub(crate) unsafe fn complete(
    new: New,
    template: *const CK_ATTRIBUTE,
    count: CK_ULONG,
    mandatory: &[CK_ATTRIBUTE_TYPE],
) -> Result<Vec<CK_ATTRIBUTE>, CK_RV> {
    // SAFETY: as for this function.
    let mut given = unsafe { attributes(template, count) }.to_vec();
    for attribute in &given {
        if READ_ONLY.contains(&attribute.type_) {
            return Err(CKR_ATTRIBUTE_READ_ONLY);
        }
        if !supported(attribute.type_) {
            return Err(CKR_TEMPLATE_INCONSISTENT);
        }
        // SAFETY: as for this function.
        let found = unsafe { flag(attribute) };
        let fixed = FIXED.iter().find(|(fixed, _)| *fixed == attribute.type_);
        let sensitive = (new == New::Private && attribute.type_ == CKA_SENSITIVE).then_some(&(CKA_SENSITIVE, true));
        if fixed.or(sensitive).is_some_and(|(_, wanted)| found != Some(*wanted)) {
            return Err(CKR_ATTRIBUTE_VALUE_INVALID);
        }
    }
    let missing = |wanted: &CK_ATTRIBUTE_TYPE| !given.iter().any(|attribute| attribute.type_ == *wanted);
    if mandatory.iter().any(missing) {
        return Err(CKR_TEMPLATE_INCOMPLETE);
    }
    let defaults = match new {
        New::Secret => OF_SECRET,
        New::Private => OF_PRIVATE,
        New::Public => OF_PUBLIC,
    };
    for (kind, value) in OF_ALL.iter().chain(defaults) {
        if !given.iter().any(|attribute| attribute.type_ == *kind) {
            given.push(own_flag(*kind, *value));
        }
    }
    Ok(given)
}

/// AWS's known issue, "ki-pkcs11-sdk": `CKA_MODULUS_BITS` or `CKA_PUBLIC_EXPONENT` in the private template is no error, but
/// makes a key that may do nothing.
pub(crate) fn private_key_trap(template: &mut Vec<CK_ATTRIBUTE>) {
    let before = template.len();
    template.retain(|attribute| !matches!(attribute.type_, CKA_MODULUS_BITS | CKA_PUBLIC_EXPONENT));
    if template.len() < before {
        let uses = [CKA_SIGN, CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE];
        template.retain(|attribute| !uses.contains(&attribute.type_));
        template.extend(uses.iter().map(|kind| own_flag(*kind, false)));
    }
}

/// The attributes of a template.
///
/// # Safety
/// `template` is null or points to `count` attributes.
pub(crate) unsafe fn attributes<'t>(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> &'t [CK_ATTRIBUTE] {
    match usize::try_from(count) {
        // SAFETY: as for this function.
        Ok(count) if !template.is_null() => unsafe { std::slice::from_raw_parts(template, count) },
        _ => &[],
    }
}

/// The value of a boolean attribute.
///
/// # Safety
/// The attribute's value is as long as it says.
unsafe fn flag(attribute: &CK_ATTRIBUTE) -> Option<bool> {
    let one = attribute.ulValueLen == 1 && !attribute.pValue.is_null();
    // SAFETY: one byte.
    one.then(|| unsafe { *attribute.pValue.cast::<CK_BBOOL>() } == CK_TRUE)
}

fn own_flag(kind: CK_ATTRIBUTE_TYPE, value: bool) -> CK_ATTRIBUTE {
    let value = if value { &raw const TRUE } else { &raw const FALSE };
    CK_ATTRIBUTE { type_: kind, pValue: value.cast_mut().cast(), ulValueLen: 1 }
}
