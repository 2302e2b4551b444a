//! How library and token describe themselves.
//!
//! What CloudHSM's library really says of itself is not published; here it says that it is a copy.

use cryptoki_sys::*;

use crate::settings;

pub(crate) unsafe fn library_info(info: *mut CK_INFO) -> CK_RV {
    let result = real!(C_GetInfo(info));
    // SAFETY: the call succeeded, so the caller's pointer is good.
    if let (CKR_OK, Some(info)) = (result, unsafe { info.as_mut() }) {
        info.cryptokiVersion = CK_VERSION { major: 2, minor: 40 };
        info.manufacturerID = padded("Holdfast tests");
        info.libraryDescription = padded("CloudHSM profile over SoftHSM");
        info.libraryVersion = CK_VERSION { major: 5, minor: 16 };
    }
    result
}

/// Nothing here warns of the strikes left before a user is locked.
pub(crate) unsafe fn info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    let result = real!(C_GetTokenInfo(slot, info));
    // SAFETY: the call succeeded, so the caller's pointer is good.
    if let (CKR_OK, Some(info)) = (result, unsafe { info.as_mut() }) {
        info.manufacturerID = padded("Holdfast tests");
        info.model = padded("CloudHSM profile");
        info.flags &= !(CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
        let sessions = settings::get().map_or(0, |settings| settings.sessions);
        info.ulMaxSessionCount = CK_ULONG::try_from(sessions).unwrap_or_default();
        info.ulMaxRwSessionCount = info.ulMaxSessionCount;
        (info.ulMinPinLen, info.ulMaxPinLen) = (10, 64);
    }
    result
}

fn padded<const N: usize>(text: &str) -> [CK_UTF8CHAR; N] {
    let mut room = [b' '; N];
    for (place, byte) in room.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    room
}
