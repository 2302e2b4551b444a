//! The way in: module, token, and the session that holds the login.

use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::RawAuthPin;
use hardening::Secret;

use crate::config::Config;
use crate::error::Fault;
use crate::module::Module;
use crate::token;

/// A token, logged in to. The login lasts as long as the keeper session.
pub(crate) struct Entry {
    pub(crate) module: &'static Module,
    pub(crate) slot: Slot,
    pub(crate) token: TokenInfo,
    pub(crate) keeper: Session,
}

impl Entry {
    /// Loads and initialises the module, finds the token, opens a session and logs in, once.
    pub(crate) fn open(config: &Config) -> Result<Entry, Fault> {
        config.validate()?;
        let module = Module::load(&config.library)?;
        module.initialize()?;
        let (slot, token) = token::find(module, &config.token)?;
        let keeper = module.pkcs11().open_rw_session(slot)?;
        log_in(&keeper, &token, &config.pin)?;
        Ok(Entry { module, slot, token, keeper })
    }

    /// A further read-write session, logged in because the keeper is. Never read-only: AWS CloudHSM has none.
    pub(crate) fn session(&self) -> Result<Session, Fault> {
        Ok(self.module.pkcs11().open_rw_session(self.slot)?)
    }

    /// Manufacturer, model, versions: for people.
    pub(crate) fn library(&self) -> String {
        let token = format!("{} {}", self.token.manufacturer_id(), self.token.model());
        match self.module.pkcs11().get_library_info() {
            Ok(info) => format!("{} {}, token {token}", info.manufacturer_id(), info.library_version()),
            // Some modules set reserved flags, which `cryptoki` refuses; the token's own words will do.
            Err(_) => format!("token {token}"),
        }
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
