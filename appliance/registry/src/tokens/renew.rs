//! Renewing tokens.

use std::time::Duration;

use framework::{Auth, Error, Timestamp, View};

use super::create::lesser;
use super::lifetime::{self, Wish};
use super::{Issued, TokenRef, no_accessor};
use crate::mounts::Mount;
use crate::registry::Registry;

/// Asks the auth method of a mount about the renewal of a token that came from one of its logins: see
/// [`framework::AuthMethod::renew`].
pub type AskMethod<'a> = dyn Fn(&Mount, &mut Auth) -> Result<(), Error> + 'a;

impl Registry {
    /// Gives a token a new lifetime from now on: `increment`, or what it last had, or what a login would get now; a periodic
    /// token its period. A token role has its present say. The answer has the token's text only where it was given.
    /// [`Error::Invalid`], in Vault's words, if the token is unknown or cannot be renewed.
    pub fn renew_token(
        &self,
        view: &View<'_>,
        token: TokenRef<'_>,
        increment: Option<Duration>,
        ask: &AskMethod<'_>,
        now: Timestamp,
    ) -> Result<Issued, Error> {
        let Some((name, mut record)) = self.find(view, token, now)? else {
            return Err(match token {
                TokenRef::Accessor(accessor) => no_accessor(accessor),
                TokenRef::Token(_) | TokenRef::Own(..) => Error::field("token", "token not found"),
            });
        };
        if record.batch {
            return Err(Error::invalid("batch tokens cannot be renewed"));
        }
        if !record.renewable || record.expires.is_none() || record.spent {
            return Err(Error::invalid("lease is not renewable"));
        }
        let Some((mount, _)) = self.locate(&record.path)? else {
            return Err(Error::invalid("failed to renew entry: the auth method that issued the token is gone"));
        };
        if mount.entry.kind != "token" {
            let mut auth = record.clone().into_auth(&name, None);
            ask(&mount, &mut auth)?;
            record.ttl = auth.ttl.as_secs();
            record.max_ttl = auth.max_ttl.as_secs();
            record.period = auth.period.as_secs();
        }
        let (period, explicit_max_ttl) = self.limits_by_role(view, &record.role)?;
        let wish = Wish {
            ttl: increment.filter(|ttl| !ttl.is_zero()).unwrap_or(Duration::from_secs(record.ttl)),
            max_ttl: Duration::from_secs(record.max_ttl),
            period: lesser(Duration::from_secs(record.period), period),
            explicit_max_ttl: lesser(Duration::from_secs(record.explicit_max_ttl), explicit_max_ttl),
        };
        let mut warnings = Vec::new();
        let ttl = lifetime::granted(wish, &mount.info, record.created(), now, &mut warnings)?;
        record.ttl = ttl.as_secs();
        record.last_renewal = Some(now.nanos());
        record.end_at(view, &name, Some(now.plus(ttl)))?;
        record.put(view, &name)?;
        let text = match token {
            TokenRef::Token(text) | TokenRef::Own(_, Some(text)) => Some(text.try_clone()?),
            TokenRef::Accessor(_) | TokenRef::Own(_, None) => None,
        };
        Ok(Issued { auth: record.into_auth(&name, text), warnings })
    }

    /// Period and longest lifetime that a token role sets now; zero where there is none.
    fn limits_by_role(&self, view: &View<'_>, role: &str) -> Result<(Duration, Duration), Error> {
        if role.is_empty() {
            return Ok((Duration::ZERO, Duration::ZERO));
        }
        match self.token_role(view, role)? {
            Some(role) => Ok((role.period(), role.explicit_max_ttl())),
            None => Err(Error::invalid(format!(
                "failed to renew entry: original token role {role:?} could not be found, not renewing"
            ))),
        }
    }
}
