//! Which web pages of other origins may use the API (the Fetch standard's CORS protocol).

use serde::{Deserialize, Serialize};

/// Headers that such pages may always send.
const HEADERS: [&str; 10] = [
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

/// What an operator allows pages of other origins.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Cors {
    /// Origins as browsers send them, byte by byte; `*` alone for all.
    pub origins: Vec<String>,
    /// Headers besides the usual ones.
    pub more_headers: Vec<String>,
    /// Whether browsers may send cookies and the like along.
    pub credentials: bool,
}

impl Cors {
    /// Whether pages of this origin may use the API.
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    /// All headers that such pages may send.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        HEADERS.into_iter().chain(self.more_headers.iter().map(String::as_str))
    }
}
