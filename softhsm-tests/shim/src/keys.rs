//! Finding keys, and waiting for new ones: rule 8.
//!
//! AWS userguide, "manage-key-sync" and "troubleshoot-key-availability-check": a new token key is used only once it is on two
//! HSMs; before, use fails with CKR_FUNCTION_FAILED, or the HSM that is asked does not know it yet.

use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cryptoki_sys::*;

use crate::settings::{self, NewKey};
use crate::{attributes, iv, state, violation};

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;
type Template = *mut CK_ATTRIBUTE;

/// Keys made by this process, and when.
static MADE: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());
const MADE_FILE: &str = "keys-made";

/// What tells one key from another in records: handles change from one process to the next.
pub(crate) fn name(session: Session, key: Object) -> String {
    let part = |kind| iv::hex(&attributes::bytes(session, key, kind));
    format!("{}:{}", part(CKA_LABEL), part(CKA_ID))
}

/// Remembers a key just made.
pub(crate) fn made(session: Session, key: Object) {
    let name = name(session, key);
    let written = state::file(MADE_FILE).map(|path| {
        let mut file = File::options().create(true).append(true).open(path)?;
        file.write_all(format!("{name}\n").as_bytes())
    });
    if !matches!(written, Some(Ok(()))) {
        violation::report("a new key could not be written down");
    }
    MADE.lock().unwrap_or_else(PoisonError::into_inner).push((name, Instant::now()));
}

/// Whether a key is so new that its `wait` is not over.
fn is_young(session: Session, key: Object, wait: Duration) -> bool {
    let young: Vec<String> = {
        let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.iter().filter(|(_, since)| since.elapsed() < wait).map(|(name, _)| name.clone()).collect()
    };
    !young.is_empty() && young.contains(&name(session, key))
}

/// Whether the use of this key fails because it is new.
pub(crate) fn not_yet_available(session: Session, key: Object) -> bool {
    match settings::get().map(|settings| settings.new_key) {
        Ok(NewKey::Failing(wait)) => is_young(session, key, wait),
        _ => false,
    }
}

/// How many objects there are like this.
pub(crate) fn search(session: Session, template: &mut [CK_ATTRIBUTE]) -> Result<usize, CK_RV> {
    let count = CK_ULONG::try_from(template.len()).unwrap_or_default();
    let begun = real!(C_FindObjectsInit(session, template.as_mut_ptr(), count));
    if begun != CKR_OK {
        return Err(begun);
    }
    let (mut objects, mut found, mut all) = ([0; 64], 0, 0);
    while real!(C_FindObjects(session, objects.as_mut_ptr(), 64, &raw mut found)) == CKR_OK && found > 0 {
        all += usize::try_from(found).unwrap_or_default();
    }
    real!(C_FindObjectsFinal(session));
    Ok(all)
}

pub(crate) unsafe fn find_init(session: Session, template: Template, count: CK_ULONG) -> CK_RV {
    if state::with(session, |session| session.searching && !session.disturbed) {
        // AWS userguide, "ki-pkcs11-sdk": CloudHSM goes on, and gives wrong results.
        violation::report("C_FindObjectsInit while a search is active");
        return CKR_OPERATION_ACTIVE;
    }
    let result = real!(C_FindObjectsInit(session, template, count));
    state::with(session, |session| session.searching = result == CKR_OK);
    result
}

pub(crate) unsafe fn find(session: Session, objects: *mut Object, room: CK_ULONG, found: *mut CK_ULONG) -> CK_RV {
    loop {
        let result = real!(C_FindObjects(session, objects, room, found));
        let Ok(NewKey::Invisible(wait)) = settings::get().map(|settings| settings.new_key) else { return result };
        // SAFETY: the call succeeded, so the caller's pointers are good.
        let (CKR_OK, Some(found)) = (result, unsafe { found.as_mut() }) else { return result };
        let all = usize::try_from(*found).unwrap_or_default();
        if all == 0 {
            return result;
        }
        // SAFETY: as above; that many were found.
        let handles = unsafe { std::slice::from_raw_parts_mut(objects, all) };
        let visible: Vec<Object> = handles.iter().copied().filter(|key| !is_young(session, *key, wait)).collect();
        for (place, key) in handles.iter_mut().zip(&visible) {
            *place = *key;
        }
        *found = CK_ULONG::try_from(visible.len()).unwrap_or_default();
        // None of these may be seen yet: perhaps of the next.
        if *found > 0 {
            return result;
        }
    }
}

pub(crate) unsafe fn find_final(session: Session) -> CK_RV {
    state::with(session, |session| session.searching = false);
    real!(C_FindObjectsFinal(session))
}
