//! What the environment says, and what the flags say over it.

use std::path::PathBuf;

use crate::client::Show;
use crate::duration;
use crate::failure::Failure;
use crate::flags::{self, Parsed};
use crate::token_helper::TokenHelper;

/// Prefixes of environment variables, the first that is set wins.
const PREFIXES: [&str; 3] = ["HOLDFAST_", "VAULT_", "BAO_"];

/// Flags over environment over defaults.
pub(crate) struct Settings<'a> {
    flags: &'a Parsed,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(flags: &'a Parsed, environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { flags, environment }
    }

    /// The variable under the first prefix that has it.
    fn variable(&self, name: &str) -> Option<(String, String)> {
        PREFIXES.iter().find_map(|prefix| {
            let full = format!("{prefix}{name}");
            (self.environment)(&full).filter(|value| !value.is_empty()).map(|value| (full, value))
        })
    }

    /// The flag, or the variable. An empty flag unsets the variable.
    pub(crate) fn text(&self, flag: &str, variable: &str) -> Option<String> {
        match self.flags.text(flag) {
            Some(value) => Some(value.to_owned()).filter(|value| !value.is_empty()),
            None => self.variable(variable).map(|(_, value)| value),
        }
    }

    fn switch(&self, flag: &str, variable: &str) -> Result<bool, Failure> {
        if let Some(choice) = self.flags.choice(flag) {
            return Ok(choice);
        }
        match self.variable(variable) {
            Some((name, value)) => flags::switch(&value)
                .ok_or_else(|| Failure::local(format!("invalid value {value:?} in {name}: must be true or false"))),
            None => Ok(false),
        }
    }

    pub(crate) fn address(&self) -> String {
        let agent = self.text("agent-address", "AGENT_ADDR");
        agent.or_else(|| self.text("address", "ADDR")).unwrap_or_else(|| "https://127.0.0.1:8200".to_owned())
    }

    /// The proxy that requests go through, by the environment's own name for this client alone: what `HTTP_PROXY` names would
    /// see every secret of who did not mean it to.
    pub(crate) fn proxy(&self) -> Option<String> {
        self.variable("PROXY_ADDR").or_else(|| self.variable("HTTP_PROXY")).map(|(_, proxy)| proxy)
    }

    /// The token of the environment, with the variable's name.
    pub(crate) fn environment_token(&self) -> Option<(String, String)> {
        self.variable("TOKEN")
    }

    /// The token to use: environment, then what `login` kept.
    pub(crate) fn token(&self) -> Result<Option<String>, Failure> {
        let token = match self.environment_token() {
            Some((_, token)) => Some(token),
            None => self.token_helper()?.map_or(Ok(None), |helper| helper.read())?,
        };
        match token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()) {
            Some(token) if token.chars().any(|c| !c.is_ascii_graphic()) => {
                Err(Failure::local("the configured token contains non-printable characters and cannot be used"))
            }
            token => Ok(token),
        }
    }

    /// Where `login` keeps the token; nowhere if there is no home directory.
    pub(crate) fn token_helper(&self) -> Result<Option<TokenHelper>, Failure> {
        let home = (self.environment)("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let named = self.variable("CONFIG_PATH").map(|(_, path)| PathBuf::from(path));
        TokenHelper::configured(home.as_deref(), named.as_deref())
    }

    pub(crate) fn namespace(&self) -> Option<String> {
        let namespace = self.text("namespace", "NAMESPACE")?;
        let trimmed = namespace.trim_matches('/');
        (!trimmed.is_empty() && trimmed != "root").then(|| format!("{trimmed}/"))
    }

    /// Seconds in text, as the header takes them.
    pub(crate) fn wrap_ttl(&self) -> Result<Option<String>, Failure> {
        let Some(text) = self.text("wrap-ttl", "WRAP_TTL") else { return Ok(None) };
        match duration::parse(&text) {
            Some(seconds) if seconds > 0 => Ok(Some(seconds.to_string())),
            Some(0) => Ok(None),
            _ => Err(Failure::local(format!("invalid wrap TTL {text:?}: must be a duration such as 60s or 5m"))),
        }
    }

    /// PEM text of the CA certificates to trust; a file or a folder that a flag names counts before it.
    pub(crate) fn ca_certificates(&self) -> Option<String> {
        let named = self.flags.given("ca-cert") || self.flags.given("ca-path");
        self.variable("CACERT_BYTES").filter(|_| !named).map(|(_, pem)| pem)
    }

    /// Whether lists say more of each name.
    pub(crate) fn detailed(&self) -> Result<bool, Failure> {
        self.switch("detailed", "DETAILED")
    }

    pub(crate) fn skip_verify(&self) -> Result<bool, Failure> {
        self.switch("tls-skip-verify", "SKIP_VERIFY")
    }

    pub(crate) fn follow_redirects(&self) -> Result<bool, Failure> {
        Ok(!self.switch("disable-redirects", "DISABLE_REDIRECTS")?)
    }

    /// Seconds a request may take.
    pub(crate) fn timeout(&self) -> Result<u64, Failure> {
        let Some((name, value)) = self.variable("CLIENT_TIMEOUT") else { return Ok(60) };
        match duration::parse(&value).and_then(|seconds| u64::try_from(seconds).ok()) {
            Some(seconds) if seconds > 0 => Ok(seconds),
            _ => Err(Failure::local(format!("invalid value {value:?} in {name}: must be a duration such as 60s"))),
        }
    }

    /// The headers of `-header`.
    pub(crate) fn headers(&self) -> Result<Vec<(String, String)>, Failure> {
        let pairs = self.flags.pairs("header");
        if let Some((name, _)) = pairs.iter().find(|(name, _)| name.to_ascii_lowercase().starts_with("x-vault-")) {
            return Err(Failure::local(format!(
                "Setting the header {name:?} is not allowed: X-Vault- headers have flags of their own"
            )));
        }
        Ok(pairs.into_iter().map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }

    /// What is printed of a request in place of sending it.
    pub(crate) fn show(&self) -> Option<Show> {
        let flags = [("output-curl-string", Show::Curl), ("output-policy", Show::Policy)];
        flags.into_iter().find(|(flag, _)| self.flags.on(flag)).map(|(_, show)| show)
    }

    /// Refuses flags of other servers that mean nothing here.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), Failure> {
        for (flag, reason) in [
            ("policy-override", "there are no policies that could be overridden"),
            ("mfa", "MFA credentials are not supported"),
            ("unlock-key", "there is no lock on a namespace's API"),
        ] {
            if self.flags.given(flag) {
                return Err(Failure::local(format!("flag -{flag} is not supported: {reason}")));
            }
        }
        match self.variable("MFA") {
            Some((name, _)) => Err(Failure::local(format!("{name} is set: MFA credentials are not supported"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use crate::flags::Parsed;

    #[test]
    fn our_variables_win_over_the_others_and_empty_ones_do_not_count() {
        let flags = Parsed::default();
        let environment = |name: &str| match name {
            "HOLDFAST_ADDR" => Some("https://ours".to_owned()),
            "VAULT_ADDR" | "BAO_ADDR" => Some("https://theirs".to_owned()),
            "HOLDFAST_TOKEN" | "VAULT_TOKEN" => Some(String::new()),
            "BAO_TOKEN" => Some("s.x\n".to_owned()),
            "VAULT_NAMESPACE" => Some("/a/b".to_owned()),
            "VAULT_SKIP_VERIFY" => Some("perhaps".to_owned()),
            _ => None,
        };
        let settings = Settings::new(&flags, &environment);
        assert_eq!(settings.address(), "https://ours");
        assert_eq!(settings.token().unwrap().as_deref(), Some("s.x"));
        assert_eq!(settings.namespace().as_deref(), Some("a/b/"));
        assert!(settings.skip_verify().is_err());
    }
}
