//! The way in: module, token, and the session that holds the login.

use std::sync::Mutex;

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use hardening::Secret;

use crate::config::Config;
use crate::error::Fault;
use crate::module::Module;
use crate::profile::Profile;
use crate::token;

/// Where sessions are opened. Copied freely, so that nobody holds a lock while the HSM opens one.
#[derive(Clone, Copy)]
pub(crate) struct Door {
    pub(crate) module: &'static Module,
    pub(crate) slot: Slot,
}

impl Door {
    /// A further read-write session, logged in while the entry is. Never read-only: AWS CloudHSM has none.
    pub(crate) fn session(self) -> Result<Session, Fault> {
        Ok(self.module.pkcs11().open_rw_session(self.slot)?)
    }
}

/// A token, logged in to for as long as this value lives.
pub(crate) struct Entry {
    pub(crate) door: Door,
    pub(crate) token: TokenInfo,
    pub(crate) profile: &'static Profile,
    /// Manufacturer, model, versions: for people.
    pub(crate) library: String,
    /// Holds the login. Behind a lock only because sessions cannot be shared.
    _keeper: Mutex<Session>,
}

impl Entry {
    /// Loads and initialises the module, finds the token, opens a session and logs in, once.
    pub(crate) fn open(config: &Config) -> Result<Entry, Fault> {
        config.validate()?;
        let module = Module::load(&config.library)?;
        module.initialize()?;
        let (slot, token) = token::find(module, &config.token)?;
        let (words, library) = describe(module, &token);
        let profile = config.profile.unwrap_or_else(|| Profile::recognise(&words, &config.library));
        let door = Door { module, slot };
        let keeper = door.session()?;
        log_in(&keeper, &token, &config.pin)?;
        let library = format!("{library}; profile {}", profile.name);
        Ok(Entry { door, token, profile, library, _keeper: Mutex::new(keeper) })
    }
}

/// The library's and the token's own words, all of them and for people.
pub(crate) fn describe(module: &Module, token: &TokenInfo) -> (String, String) {
    let token = format!("{} {}", token.manufacturer_id(), token.model());
    match module.pkcs11().get_library_info() {
        Ok(info) => {
            let words = format!("{} {} {token}", info.manufacturer_id(), info.library_description());
            (words, format!("{} {}, token {token}", info.manufacturer_id(), info.library_version()))
        }
        // Some modules set reserved flags, which `cryptoki` refuses; the token's own words will do.
        Err(_) => (token.clone(), format!("token {token}")),
    }
}

fn log_in(session: &Session, token: &TokenInfo, pin: &Secret) -> Result<(), Fault> {
    if token.user_pin_locked() {
        return Err(Error::Pkcs11(RvError::PinLocked, cryptoki::context::Function::Login).into());
    }
    if token.user_pin_final_try() {
        return Err(Fault::fatal(
            "the token allows one more wrong PIN before it locks (CKF_USER_PIN_FINAL_TRY): not tried. \
             Log in by hand with the right PIN, then restart",
        ));
    }
    // The copy is wiped when dropped.
    let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
    match session.login_with_raw(UserType::User, &pin) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
