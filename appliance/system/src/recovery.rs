//! Recovery mode: what a server answers that loads nothing of what it remembers. A quorum gets a token, which is good for
//! `sys/raw` and for nothing else.

use std::sync::Arc;

use framework::{Engine, Error, GenerateToken, RawRecords, RecoveryToken, Route, SealControl};

use crate::{Versions, generate_root, raw, seal};

/// What the handlers of recovery mode work with.
pub struct Recovery {
    /// The state of the seal.
    pub control: Arc<dyn SealControl>,
    /// The token for it.
    pub token: Arc<dyn RecoveryToken>,
    /// The records.
    pub records: Arc<dyn RawRecords>,
    /// What the server says of itself.
    pub versions: Versions,
}

/// The one engine of a server in recovery mode. No mount is known, so its routes are those that answer while sealed.
pub fn recovery_engine(recovery: &Recovery) -> Engine {
    let generation = Arc::clone(&recovery.token) as Arc<dyn GenerateToken>;
    let mut routes = vec![seal::status_route(&recovery.control, &recovery.versions)];
    routes.extend(generate_root::attempts(&generation, "generate-recovery-token/attempt"));
    routes.push(generate_root::update(&generation, "generate-recovery-token/update"));
    let mut routes: Vec<Route> = routes.into_iter().map(|route| route.open().while_sealed().bare()).collect();
    routes.extend(raw::routes(&recovery.records).into_iter().map(|route| {
        let token = Arc::clone(&recovery.token);
        let known = move |cx: &framework::Context<'_>, _: &framework::Input| match token.admits(cx.token) {
            true => Ok(()),
            false => Err(Error::Denied),
        };
        route.open().while_sealed().sees_token().checked_first(known)
    }));
    Engine { kind: "system", about: "A server in recovery mode.", routes, ..Engine::default() }
}
