//! The function list: what is forwarded, refused, or judged.
//!
//! - `forward`: to SoftHSM as it comes.
//! - `refuse`: CKR_FUNCTION_NOT_SUPPORTED; not in AWS's list of API operations (userguide, "pkcs11-apis").
//! - `judge`: by the rules of the module named; forwarded under `rules = none`.
//! - `watch`: the same, but under `rules = none` too.

use std::os::raw::c_void;

use cryptoki_sys::*;

use crate::{attributes, encryption, gate, keys, making, mechanisms, sessions, signing, token};

type Object = CK_OBJECT_HANDLE;
type Session = CK_SESSION_HANDLE;
type Bytes = *mut CK_BYTE;
type Length = *mut CK_ULONG;
type Mechanism = *mut CK_MECHANISM;
type Template = *mut CK_ATTRIBUTE;

macro_rules! act {
    (forward $name:ident ($($argument:ident),*)) => { real!($name($($argument),*)) };
    (refuse $name:ident ($($argument:ident),*)) => {
        if gate::rules() { CKR_FUNCTION_NOT_SUPPORTED } else { real!($name($($argument),*)) }
    };
    (judge $module:ident $rule:ident $name:ident ($($argument:ident),*)) => {
        if gate::rules() {
            // SAFETY: the arguments are those of our caller, who keeps to PKCS#11.
            unsafe { $module::$rule($($argument),*) }
        } else {
            real!($name($($argument),*))
        }
    };
    (watch $module:ident $rule:ident $name:ident ($($argument:ident),*)) => {
        // SAFETY: the arguments are those of our caller, who keeps to PKCS#11.
        unsafe { $module::$rule($($argument),*) }
    };
}

macro_rules! functions {
    (
        of the library { $($l_act:ident $(($l_module:ident::$l_rule:ident))? $l_name:ident ($($l_argument:ident: $l_type:ty),*);)* }
        of a session { $($act:ident $(($module:ident::$rule:ident))? $name:ident ($($argument:ident: $type:ty),*);)* }
    ) => {
        $(
            #[allow(non_snake_case, reason = "the standard's name")]
            unsafe extern "C" fn $l_name($($l_argument: $l_type),*) -> CK_RV {
                gate::call(stringify!($l_name), || act!($l_act $($l_module $l_rule)? $l_name ($($l_argument),*)))
            }
        )*
        $(
            #[allow(non_snake_case, reason = "the standard's name")]
            unsafe extern "C" fn $name(session: Session $(, $argument: $type)*) -> CK_RV {
                gate::session_call(stringify!($name), session, || {
                    act!($act $($module $rule)? $name (session $(, $argument)*))
                })
            }
        )*

        /// What `C_GetFunctionList` gives out.
        pub(crate) static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
            version: CK_VERSION { major: 2, minor: 40 },
            C_GetFunctionList: Some(crate::C_GetFunctionList),
            $($l_name: Some($l_name),)*
            $($name: Some($name),)*
        };
    };
}

functions! {
    of the library {
        watch(sessions::initialize) C_Initialize(arguments: *mut c_void);
        watch(sessions::finalize) C_Finalize(reserved: *mut c_void);
        judge(token::library_info) C_GetInfo(info: *mut CK_INFO);
        forward C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: Length);
        forward C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO);
        judge(token::info) C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO);
        judge(mechanisms::list) C_GetMechanismList(slot: CK_SLOT_ID, list: *mut CK_MECHANISM_TYPE, count: Length);
        judge(mechanisms::info) C_GetMechanismInfo(slot: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
        refuse C_InitToken(slot: CK_SLOT_ID, pin: Bytes, length: CK_ULONG, label: Bytes);
        watch(sessions::open) C_OpenSession(slot: CK_SLOT_ID, flags: CK_FLAGS, application: *mut c_void, notify: CK_NOTIFY, session: *mut Session);
        watch(sessions::close_all) C_CloseAllSessions(slot: CK_SLOT_ID);
        refuse C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: *mut c_void);
    }
    of a session {
        watch(sessions::close) C_CloseSession();
        forward C_GetSessionInfo(info: *mut CK_SESSION_INFO);
        judge(sessions::log_in) C_Login(user: CK_USER_TYPE, pin: Bytes, length: CK_ULONG);
        forward C_Logout();
        refuse C_InitPIN(pin: Bytes, length: CK_ULONG);
        refuse C_SetPIN(old: Bytes, old_length: CK_ULONG, new: Bytes, new_length: CK_ULONG);
        refuse C_GetOperationState(state: Bytes, length: Length);
        refuse C_SetOperationState(state: Bytes, length: CK_ULONG, encryption: Object, authentication: Object);

        judge(making::create) C_CreateObject(template: Template, count: CK_ULONG, object: *mut Object);
        refuse C_CopyObject(object: Object, template: Template, count: CK_ULONG, copy: *mut Object);
        forward C_DestroyObject(object: Object);
        refuse C_GetObjectSize(object: Object, size: Length);
        judge(attributes::get) C_GetAttributeValue(object: Object, template: Template, count: CK_ULONG);
        refuse C_SetAttributeValue(object: Object, template: Template, count: CK_ULONG);
        judge(keys::find_init) C_FindObjectsInit(template: Template, count: CK_ULONG);
        judge(keys::find) C_FindObjects(objects: *mut Object, room: CK_ULONG, found: Length);
        judge(keys::find_final) C_FindObjectsFinal();

        watch(encryption::encrypt_init) C_EncryptInit(mechanism: Mechanism, key: Object);
        watch(encryption::encrypt) C_Encrypt(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(encryption::encrypt_update) C_EncryptUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(encryption::encrypt_final) C_EncryptFinal(out: Bytes, out_length: Length);
        judge(encryption::decrypt_init) C_DecryptInit(mechanism: Mechanism, key: Object);
        judge(encryption::decrypt) C_Decrypt(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(encryption::decrypt_update) C_DecryptUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(encryption::decrypt_final) C_DecryptFinal(out: Bytes, out_length: Length);

        judge(signing::digest_init) C_DigestInit(mechanism: Mechanism);
        forward C_Digest(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        forward C_DigestUpdate(data: Bytes, length: CK_ULONG);
        refuse C_DigestKey(key: Object);
        forward C_DigestFinal(out: Bytes, out_length: Length);
        judge(signing::sign_init) C_SignInit(mechanism: Mechanism, key: Object);
        judge(signing::sign) C_Sign(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(signing::sign_update) C_SignUpdate(data: Bytes, length: CK_ULONG);
        judge(signing::sign_final) C_SignFinal(out: Bytes, out_length: Length);
        refuse C_SignRecoverInit(mechanism: Mechanism, key: Object);
        refuse C_SignRecover(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        judge(signing::verify_init) C_VerifyInit(mechanism: Mechanism, key: Object);
        judge(signing::verify) C_Verify(data: Bytes, length: CK_ULONG, signature: Bytes, signature_length: CK_ULONG);
        judge(signing::verify_update) C_VerifyUpdate(data: Bytes, length: CK_ULONG);
        judge(signing::verify_final) C_VerifyFinal(signature: Bytes, length: CK_ULONG);
        refuse C_VerifyRecoverInit(mechanism: Mechanism, key: Object);
        refuse C_VerifyRecover(signature: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        refuse C_DigestEncryptUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        refuse C_DecryptDigestUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        refuse C_SignEncryptUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);
        refuse C_DecryptVerifyUpdate(data: Bytes, length: CK_ULONG, out: Bytes, out_length: Length);

        judge(making::generate) C_GenerateKey(mechanism: Mechanism, template: Template, count: CK_ULONG, key: *mut Object);
        judge(making::generate_pair) C_GenerateKeyPair(mechanism: Mechanism, public: Template, public_count: CK_ULONG, private: Template, private_count: CK_ULONG, public_key: *mut Object, private_key: *mut Object);
        judge(making::wrap) C_WrapKey(mechanism: Mechanism, by: Object, key: Object, out: Bytes, out_length: Length);
        judge(making::unwrap) C_UnwrapKey(mechanism: Mechanism, by: Object, data: Bytes, length: CK_ULONG, template: Template, count: CK_ULONG, key: *mut Object);
        judge(making::derive) C_DeriveKey(mechanism: Mechanism, from: Object, template: Template, count: CK_ULONG, key: *mut Object);
        refuse C_SeedRandom(seed: Bytes, length: CK_ULONG);
        forward C_GenerateRandom(out: Bytes, length: CK_ULONG);
        refuse C_GetFunctionStatus();
        refuse C_CancelFunction();
    }
}
