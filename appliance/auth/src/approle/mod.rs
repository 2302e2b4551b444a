//! `approle`: machines that have a role's id and one of its secret ids.
//!
//! ```text
//! role/<name>                       a role, with the key of its HMACs
//! role-id/<hash>                    which role has this id
//! removed/<role>                    a role is gone, its secret ids are being removed; <role> names it for ever
//! secret-id/<role>/<hmac>           one secret id
//! accessor/<role>/<accessor>        which secret id
//! expiry/<hour>/<second>/<role>.<hmac>   which secret id ends when
//! local/…                           the last three, of roles whose secret ids stay in this cluster
//! ```

mod ids;
mod login;
mod parts;
mod role;
mod secret_id;

use std::time::Duration;

use framework::{AuthMethod, Engine, Periodic, Route};

/// The engine, kind `approle`.
pub fn engine() -> Engine {
    let routes = [vec![login::route()], role::routes(), parts::routes(), secret_id::routes()];
    Engine {
        kind: "approle",
        about: "Any registered Role can authenticate itself with the server. The credentials depend on the constraints \
                that are set on the Role: its role_id, and by default one of its secret_ids.",
        routes: routes.into_iter().flatten().collect::<Vec<Route>>(),
        periodic: vec![Periodic {
            about: "removing secret ids that have expired",
            every: Duration::from_secs(60),
            run: ids::sweep,
        }],
        seal_wrapped: &["role/", "secret-id/", "local/secret-id/"],
        auth: Some(AuthMethod { renew: login::renew }),
        ..Engine::default()
    }
}
