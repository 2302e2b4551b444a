//! Making and moving keys: rules 3, 6, 7 and 10. AWS userguide, "pkcs11-apis" and "limits".

use cryptoki_sys::*;

use crate::keys::{made, not_yet_available, search};
use crate::mechanisms::{Use, allows};
use crate::settings;
use crate::template::{self, New};

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;
type Mechanism = *mut CK_MECHANISM;
type Template = *mut CK_ATTRIBUTE;
type Bytes = *mut CK_BYTE;

/// What a new key must pass: the quota, and an id of its own where that is asked for.
///
/// # Safety
/// The attributes' values are as long as they say.
unsafe fn admit(session: Session, template: &[CK_ATTRIBUTE]) -> Result<(), CK_RV> {
    let Ok(settings) = settings::get() else { return Err(CKR_GENERAL_ERROR) };
    let secret = search(session, &mut [class(&CKO_SECRET_KEY)])?;
    let private = search(session, &mut [class(&CKO_PRIVATE_KEY)])?;
    if secret + private >= settings.keys {
        // The code of an exhausted quota is not published.
        return Err(CKR_DEVICE_MEMORY);
    }
    let id = template.iter().find(|attribute| attribute.type_ == CKA_ID && attribute.ulValueLen > 0);
    match id {
        Some(id) if !settings.duplicate_ids && search(session, &mut [*id])? > 0 => Err(CKR_ATTRIBUTE_VALUE_INVALID),
        _ => Ok(()),
    }
}

fn class(value: &CK_OBJECT_CLASS) -> CK_ATTRIBUTE {
    let length = CK_ULONG::try_from(size_of::<CK_OBJECT_CLASS>()).unwrap_or_default();
    CK_ATTRIBUTE { type_: CKA_CLASS, pValue: (&raw const *value).cast_mut().cast(), ulValueLen: length }
}

/// Makes one object from a template that CloudHSM would complete.
///
/// # Safety
/// The pointers are a caller's who keeps to PKCS#11.
unsafe fn make(
    session: Session,
    (new, mandatory): (New, &[CK_ATTRIBUTE_TYPE]),
    (template, count): (Template, CK_ULONG),
    key: *mut Object,
    work: impl FnOnce(Template, CK_ULONG) -> CK_RV,
) -> CK_RV {
    // SAFETY: as for this function.
    let mut complete = match unsafe { template::complete(new, template, count, mandatory) } {
        Ok(complete) => complete,
        Err(refusal) => return refusal,
    };
    // SAFETY: as for this function.
    if let Err(refusal) = unsafe { admit(session, &complete) } {
        return refusal;
    }
    let result = work(complete.as_mut_ptr(), CK_ULONG::try_from(complete.len()).unwrap_or_default());
    // SAFETY: an object was made, so the caller's pointer was good.
    if let (CKR_OK, Some(key)) = (result, unsafe { key.as_ref() }) {
        made(session, *key);
    }
    result
}

/// The mechanism, if CloudHSM does this with it.
///
/// # Safety
/// The pointer is null or good.
unsafe fn allowed(mechanism: Mechanism, purpose: Use) -> Result<CK_MECHANISM_TYPE, CK_RV> {
    // SAFETY: as for this function.
    match unsafe { mechanism.as_ref() } {
        None => Err(CKR_ARGUMENTS_BAD),
        Some(asked) if !allows(asked.mechanism, purpose) => Err(CKR_MECHANISM_INVALID),
        Some(asked) => Ok(asked.mechanism),
    }
}

pub(crate) unsafe fn generate(
    session: Session,
    mechanism: Mechanism,
    template: Template,
    count: CK_ULONG,
    key: *mut Object,
) -> CK_RV {
    // SAFETY: the caller's pointer.
    let mandatory: &[CK_ATTRIBUTE_TYPE] = match unsafe { allowed(mechanism, Use::Generate) } {
        Err(refusal) => return refusal,
        Ok(CKM_AES_KEY_GEN | CKM_GENERIC_SECRET_KEY_GEN) => &[CKA_VALUE_LEN],
        Ok(_) => &[],
    };
    let work = |template, count| real!(C_GenerateKey(session, mechanism, template, count, key));
    // SAFETY: the caller's pointers.
    unsafe { make(session, (New::Secret, mandatory), (template, count), key, work) }
}

#[allow(clippy::too_many_arguments, reason = "as many as the standard has")]
pub(crate) unsafe fn generate_pair(
    session: Session,
    mechanism: Mechanism,
    public: Template,
    public_count: CK_ULONG,
    private: Template,
    private_count: CK_ULONG,
    public_key: *mut Object,
    private_key: *mut Object,
) -> CK_RV {
    // SAFETY: the caller's pointer.
    let mandatory: &[CK_ATTRIBUTE_TYPE] = match unsafe { allowed(mechanism, Use::Generate) } {
        Err(refusal) => return refusal,
        Ok(CKM_EC_KEY_PAIR_GEN) => &[CKA_EC_PARAMS],
        Ok(_) => &[CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT],
    };
    // SAFETY: the caller's template.
    let complete = unsafe { template::complete(New::Public, public, public_count, mandatory) };
    let mut public = match complete {
        Ok(complete) => complete,
        Err(refusal) => return refusal,
    };
    let public_count = CK_ULONG::try_from(public.len()).unwrap_or_default();
    // SAFETY: the caller's pointers.
    let mut private = match unsafe { template::complete(New::Private, private, private_count, &[]) } {
        Ok(complete) => complete,
        Err(refusal) => return refusal,
    };
    template::private_key_trap(&mut private);
    // SAFETY: the caller's values.
    if let Err(refusal) = unsafe { admit(session, &private) } {
        return refusal;
    }
    let private_count = CK_ULONG::try_from(private.len()).unwrap_or_default();
    let (public, private) = (public.as_mut_ptr(), private.as_mut_ptr());
    let (public_out, private_out) = (public_key, private_key);
    let result = real!(C_GenerateKeyPair(
        session,
        mechanism,
        public,
        public_count,
        private,
        private_count,
        public_out,
        private_out
    ));
    // SAFETY: keys were made, so the caller's pointer was good.
    if let (CKR_OK, Some(key)) = (result, unsafe { private_key.as_ref() }) {
        made(session, *key);
    }
    result
}

pub(crate) unsafe fn create(session: Session, template: Template, count: CK_ULONG, object: *mut Object) -> CK_RV {
    let work = |template, count| real!(C_CreateObject(session, template, count, object));
    // SAFETY: the caller's pointers.
    unsafe { make(session, (New::Secret, &[]), (template, count), object, work) }
}

pub(crate) unsafe fn wrap(
    session: Session,
    mechanism: Mechanism,
    by: Object,
    key: Object,
    out: Bytes,
    out_length: *mut CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's pointer.
    match unsafe { allowed(mechanism, Use::Wrap) } {
        Err(refusal) => refusal,
        Ok(_) if not_yet_available(session, by) => CKR_FUNCTION_FAILED,
        Ok(_) => real!(C_WrapKey(session, mechanism, by, key, out, out_length)),
    }
}

#[allow(clippy::too_many_arguments, reason = "as many as the standard has")]
pub(crate) unsafe fn unwrap(
    session: Session,
    mechanism: Mechanism,
    by: Object,
    data: Bytes,
    length: CK_ULONG,
    template: Template,
    count: CK_ULONG,
    key: *mut Object,
) -> CK_RV {
    // SAFETY: the caller's pointer.
    match unsafe { allowed(mechanism, Use::Wrap) } {
        Err(refusal) => return refusal,
        Ok(_) if not_yet_available(session, by) => return CKR_FUNCTION_FAILED,
        Ok(_) => {}
    }
    let work = |template, count| real!(C_UnwrapKey(session, mechanism, by, data, length, template, count, key));
    // SAFETY: the caller's pointers.
    unsafe { make(session, (New::Secret, &[]), (template, count), key, work) }
}

pub(crate) unsafe fn derive(
    session: Session,
    mechanism: Mechanism,
    from: Object,
    template: Template,
    count: CK_ULONG,
    key: *mut Object,
) -> CK_RV {
    // SAFETY: the caller's pointer.
    match unsafe { allowed(mechanism, Use::Derive) } {
        Err(refusal) => return refusal,
        Ok(_) if not_yet_available(session, from) => return CKR_FUNCTION_FAILED,
        Ok(_) => {}
    }
    let work = |template, count| real!(C_DeriveKey(session, mechanism, from, template, count, key));
    // SAFETY: the caller's pointers.
    unsafe { make(session, (New::Secret, &[]), (template, count), key, work) }
}
