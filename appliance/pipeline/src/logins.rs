//! Logins that fail too often, on their way through the corridor.

use framework::{Error, Input, Route, Timestamp};
use registry::{LoginAttempt, Mount};

use crate::Pipeline;

impl Pipeline {
    /// The login that a request is, if it is one that counts.
    pub(crate) fn attempt(
        &self,
        mount: Option<&Mount>,
        route: &Result<&Route, Error>,
        input: &Input,
    ) -> Option<LoginAttempt> {
        let claim = route.as_ref().ok()?.claim(input)?;
        self.registry.login_attempt(mount?, claim)
    }

    /// [`Error::Denied`] while the user is locked out.
    pub(crate) fn check_lockout(&self, attempt: Option<&LoginAttempt>, now: Timestamp) -> Result<(), Error> {
        attempt.map_or(Ok(()), |attempt| self.registry.check_lockout(attempt, now))
    }

    /// Counts a login whose credentials are wrong. Who is locked out meanwhile is told that and no more.
    pub(crate) fn count_failure(&self, attempt: Option<&LoginAttempt>, error: Error, now: Timestamp) -> Error {
        match (attempt, &error) {
            (Some(attempt), Error::BadCredentials { known, .. }) => {
                self.registry.login_failed(&*self.store, attempt, *known, now).err().unwrap_or(error)
            }
            _ => error,
        }
    }
}
