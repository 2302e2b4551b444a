//! Tokens as auth methods ask for them and as clients get them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Cidr, Json, Map, Secret};

/// The kind of a token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenKind {
    /// Not decided yet: what the mount says ([`TokenRule`]). No token that was issued has it.
    #[default]
    OfMount,
    /// Stored, renewable, revocable; `hvs.`.
    Service,
    /// Carries its own encrypted content; nothing is stored; `hvb.`.
    Batch,
}

impl TokenKind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::OfMount => "default",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }

    /// What a role's `token_type` says. `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "default" => Some(Self::OfMount),
            "service" => Some(Self::Service),
            "batch" => Some(Self::Batch),
            _ => None,
        }
    }
}

/// Which kind of tokens the logins of a mount get: `token_type` in the tuning of an auth method, and in a token role.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenRule {
    /// Service tokens, unless the login says otherwise.
    #[default]
    DefaultService,
    /// Batch tokens, unless the login says otherwise.
    DefaultBatch,
    /// Service tokens, whatever the login says.
    Service,
    /// Batch tokens, whatever the login says.
    Batch,
}

impl TokenRule {
    /// What `token_type` says; nothing is the default. `None` for a name that is none.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "default-service" => Some(Self::DefaultService),
            "default-batch" => Some(Self::DefaultBatch),
            "service" => Some(Self::Service),
            "batch" => Some(Self::Batch),
            _ => None,
        }
    }

    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }

    /// The kind that a login gets which asks for `wish`.
    pub fn decide(self, wish: TokenKind) -> TokenKind {
        match (self, wish) {
            (Self::Service, _) | (Self::DefaultService, TokenKind::OfMount) => TokenKind::Service,
            (Self::Batch, _) | (Self::DefaultBatch, TokenKind::OfMount) => TokenKind::Batch,
            (Self::DefaultService | Self::DefaultBatch, wish) => wish,
        }
    }
}

/// A token: as a login wants it, and, once issued, as the client gets it.
#[derive(Debug, Default)]
pub struct Auth {
    /// The token. Empty until issued.
    pub client_token: Option<Secret>,
    /// Its accessor. Empty until issued, and for batch tokens.
    pub accessor: String,
    /// Its policies, sorted; `default` is added at issue unless `no_default_policy`.
    pub policies: Vec<String>,
    /// Leave the `default` policy out.
    pub no_default_policy: bool,
    /// Shown in the audit log and in look-ups. A login says who came (`bob`); the issue puts the mount in front of it
    /// (`userpass-bob`).
    pub display_name: String,
    /// Shown in the audit log and in look-ups.
    pub metadata: BTreeMap<String, String>,
    /// How long it lives unless renewed; zero takes the mount's default.
    pub ttl: Duration,
    /// It cannot be renewed beyond this, unless it is periodic; zero takes the mount's.
    pub max_ttl: Duration,
    /// It cannot live longer than this, whatever is renewed; zero for no own limit.
    pub explicit_max_ttl: Duration,
    /// Renewal always sets this lifetime; zero for none.
    pub period: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// How often it may be used; 0 for any number.
    pub num_uses: u64,
    /// The kind.
    pub kind: TokenKind,
    /// Whether it has no parent.
    pub orphan: bool,
    /// The identity entity, or empty.
    pub entity_id: String,
    /// From where it may be used; empty for everywhere.
    pub bound_cidrs: Vec<Cidr>,
    /// What the auth method wants to know when the token is renewed: the user's name, the role's. Kept with the token and
    /// shown to nobody.
    pub internal: Map<String, Json>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_decides_as_vaults_does() {
        use TokenKind::{Batch, OfMount, Service};
        let decided = |rule: &str| [OfMount, Service, Batch].map(|wish| TokenRule::parse(rule).unwrap().decide(wish));
        assert_eq!(decided("default-service"), [Service, Service, Batch]);
        assert_eq!(decided("default-batch"), [Batch, Service, Batch]);
        assert_eq!(decided("service"), [Service; 3]);
        assert_eq!(decided("batch"), [Batch; 3]);
        assert!(TokenRule::parse("x").is_none() && TokenKind::parse("default-batch").is_none());
    }
}
