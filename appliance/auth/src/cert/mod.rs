//! `cert`: clients that have a TLS certificate and its key. That they have the key is TLS' work; what the certificate is
//! worth is decided here: the trusted certificates, the constraints beside each, and the revocation lists.
//!
//! ```text
//! config                     settings of the mount
//! cert/<name>                a trusted certificate, or authority, with its constraints and its token
//! crls/<name>                a revocation list; in how many parts it is
//! revoked/<name>/<part>      the serial numbers of a part
//! ```
//! Nothing is fetched: OCSP, and revocation lists by URL, are refused.

mod config;
mod crl;
mod facts;
mod login;
mod role;
mod trust;

use framework::{AuthMethod, Engine};

/// The engine, kind `cert`.
pub fn engine() -> Engine {
    let routes = [config::routes(), role::routes(), crl::routes(), vec![login::route()]];
    Engine {
        kind: "cert",
        about: "The \"cert\" credential provider allows authentication using TLS client certificates. A client connects and \
                uses the \"login\" endpoint to generate a client token.",
        routes: routes.into_iter().flatten().collect(),
        auth: Some(AuthMethod { renew: login::renew }),
        ..Engine::default()
    }
}
