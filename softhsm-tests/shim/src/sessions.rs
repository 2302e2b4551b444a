//! Sessions and logins: rules 1, 2 and 12.
//!
//! AWS userguide, "ki-pkcs11-sdk" (no read-only sessions: CKR_FUNCTION_FAILED), "limits" (1,024 sessions, five bad
//! logins), "pkcs11-pin" (`user:password`); openssl-projects/pkcs11-provider#342 (`Notify` and `pApplication` must be null).

use std::os::raw::c_void;

use cryptoki_sys::*;

use crate::{control, gate, real, settings, state, violation};

const STRIKES: &str = "strikes";
/// Wrong passwords after which a user is locked.
const MOST_STRIKES: u32 = 5;

pub(crate) unsafe fn initialize(arguments: *mut c_void) -> CK_RV {
    if let Err(error) = real::load() {
        violation::report(error);
        return CKR_GENERAL_ERROR;
    }
    if !gate::own() {
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    }
    if let Err(error) = control::connect() {
        violation::report(&format!("the control socket cannot be reached: {error}"));
        return CKR_GENERAL_ERROR;
    }
    let result = real!(C_Initialize(arguments));
    if result != CKR_OK {
        gate::disown();
    }
    result
}

pub(crate) unsafe fn finalize(reserved: *mut c_void) -> CK_RV {
    let result = real!(C_Finalize(reserved));
    if result == CKR_OK {
        state::all_closed();
        gate::disown();
    }
    result
}

pub(crate) unsafe fn open(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    if gate::rules() {
        if !application.is_null() || notify.is_some() {
            return CKR_ARGUMENTS_BAD;
        }
        if flags & CKF_RW_SESSION == 0 {
            return CKR_FUNCTION_FAILED;
        }
        if settings::get().is_ok_and(|settings| state::count() >= settings.sessions) {
            return CKR_SESSION_COUNT;
        }
    }
    let result = real!(C_OpenSession(slot, flags, application, notify, session));
    // SAFETY: a session was opened, so the caller's pointer was good, and holds its handle.
    if let (CKR_OK, Some(session)) = (result, unsafe { session.as_ref() }) {
        state::opened(*session);
    }
    result
}

pub(crate) unsafe fn close(session: CK_SESSION_HANDLE) -> CK_RV {
    let result = real!(C_CloseSession(session));
    if result == CKR_OK {
        state::closed(session);
    }
    result
}

pub(crate) unsafe fn close_all(slot: CK_SLOT_ID) -> CK_RV {
    let result = real!(C_CloseAllSessions(slot));
    if result == CKR_OK {
        state::all_closed();
    }
    result
}

/// The HSM forgets all sessions, as when it is replaced. The client finds out by itself.
pub(crate) fn lose_all() {
    let mut slots = [0; 16];
    let mut count = CK_ULONG::try_from(slots.len()).unwrap_or_default();
    if real!(C_GetSlotList(CK_TRUE, slots.as_mut_ptr(), &raw mut count)) == CKR_OK {
        for slot in slots.iter().take(usize::try_from(count).unwrap_or_default()) {
            real!(C_CloseAllSessions(*slot));
        }
    }
    state::all_closed();
}

pub(crate) unsafe fn log_in(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_BYTE,
    length: CK_ULONG,
) -> CK_RV {
    if user != CKU_USER {
        return CKR_USER_TYPE_INVALID;
    }
    if pin.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: not null, and as long as the caller says.
    let given = unsafe { std::slice::from_raw_parts(pin, usize::try_from(length).unwrap_or_default()) };
    // Not published for CloudHSM: the codes of these two are the least helpful that the standard allows.
    if !well_formed(given) {
        return CKR_ARGUMENTS_BAD;
    }
    let strikes: u32 = state::read(STRIKES).trim().parse().unwrap_or_default();
    if strikes >= MOST_STRIKES {
        return CKR_PIN_LOCKED;
    }
    let result = real!(C_Login(session, user, pin, length));
    let strikes = match result {
        CKR_OK => 0,
        CKR_PIN_INCORRECT => strikes + 1,
        _ => strikes,
    };
    let kept = state::file(STRIKES).map(|path| std::fs::write(path, strikes.to_string()));
    if !matches!(kept, Some(Ok(()))) {
        violation::report("a failed login could not be written down");
    }
    result
}

/// `user:password`: the user of at most 31 bytes, the password of 8 to 32.
fn well_formed(pin: &[u8]) -> bool {
    let mut parts = pin.splitn(2, |byte| *byte == b':');
    let user = parts.next().is_some_and(|user| (1..=31).contains(&user.len()));
    user && parts.next().is_some_and(|password| (8..=32).contains(&password.len()))
}
