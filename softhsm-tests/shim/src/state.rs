//! What is known of each session, and what outlives a process.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_SESSION_HANDLE};

use crate::settings;

/// One session.
#[derive(Default)]
pub(crate) struct Session {
    /// A call is inside.
    busy: bool,
    /// An ordered fault left an operation behind that the client cannot know of.
    pub(crate) disturbed: bool,
    pub(crate) encryption: Option<Encryption>,
    pub(crate) decryption: Option<Decryption>,
    pub(crate) signature: Option<Operation>,
    pub(crate) verification: Option<Operation>,
    pub(crate) searching: bool,
}

/// An operation with nothing special about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) mechanism: CK_MECHANISM_TYPE,
    /// Data came in parts.
    pub(crate) parts: bool,
}

pub(crate) enum Encryption {
    Plain(Operation),
    Gcm {
        /// What names the key in the record of IVs.
        key: String,
        iv: Vec<u8>,
        place: IvPlace,
    },
}

/// Where the IV of an encryption goes.
#[derive(Clone, Copy)]
pub(crate) enum IvPlace {
    /// To this address, the caller's `pIv`.
    Written(usize),
    /// In front of the ciphertext.
    Prepended,
    /// Nowhere: the caller gave it.
    Callers,
}

pub(crate) enum Decryption {
    Plain(Operation),
    /// `CKM_AES_GCM`: as plain, but in one part.
    Gcm,
    /// The vendor's mechanism, whose IV comes with the ciphertext: SoftHSM has not heard of it yet.
    Prepended {
        key: CK_OBJECT_HANDLE,
        aad: Vec<u8>,
        tag_bits: u64,
        begun: bool,
    },
}

static SESSIONS: Mutex<Option<HashMap<CK_SESSION_HANDLE, Session>>> = Mutex::new(None);

fn sessions() -> MutexGuard<'static, Option<HashMap<CK_SESSION_HANDLE, Session>>> {
    SESSIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn count() -> usize {
    sessions().as_ref().map_or(0, HashMap::len)
}

pub(crate) fn opened(session: CK_SESSION_HANDLE) {
    sessions().get_or_insert_default().insert(session, Session::default());
}

pub(crate) fn closed(session: CK_SESSION_HANDLE) {
    sessions().get_or_insert_default().remove(&session);
}

pub(crate) fn all_closed() {
    *sessions() = None;
}

/// Runs `work` on what is known of `session`; on nothing in particular if it does not exist.
pub(crate) fn with<R>(session: CK_SESSION_HANDLE, work: impl FnOnce(&mut Session) -> R) -> R {
    let mut nobody = Session::default();
    work(sessions().get_or_insert_default().get_mut(&session).unwrap_or(&mut nobody))
}

/// A call goes into the session; `false` if one is there already.
pub(crate) fn enter(session: CK_SESSION_HANDLE) -> bool {
    with(session, |session| !std::mem::replace(&mut session.busy, true))
}

/// The call is over. It was `disturbed` if it ended without having done its work.
pub(crate) fn leave(session: CK_SESSION_HANDLE, worked: bool) {
    with(session, |session| {
        session.busy = false;
        session.disturbed |= !worked;
    });
}

/// A file that outlives the process.
pub(crate) fn file(name: &str) -> Option<PathBuf> {
    settings::get().ok().map(|settings| settings.state.join(name))
}

/// Its text; empty if there is none.
pub(crate) fn read(name: &str) -> String {
    file(name).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
}
