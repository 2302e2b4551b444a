//! `sys/seal-backend-status`: whether what wraps can be reached. Vault Enterprise's path and fields.

use std::sync::Arc;

use framework::Operation::Read;
use framework::{Context, Fields, Json, Map, Route, SealBackend, SealHealth, fields};

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let health = Arc::clone(&core.seal_health);
    let about = "Whether each backend of the seal does its part.";
    vec![
        Route::new(Read, "seal-backend-status", about, move |cx: &Context<'_>, _: Nothing| Ok(status(cx, &*health)))
            .open()
            .while_sealed()
            .bare(),
    ]
}

fields! {
    struct Status {
        /// Whether every backend does its part.
        healthy: bool,
        /// Since when one does not, if one does not.
        unhealthy_since: Option<String>,
        /// Whether everything that is wrapped is wrapped by every backend.
        fully_wrapped: bool,
        /// Each backend: `name`, `configured`, `disabled`, `healthy`, and if not `unhealthy_since`.
        backends: Json,
    }

    struct Backend {
        /// Its name: the kind of seal, unless the configuration gives it one.
        name: String,
        /// Whether it was set up.
        configured: bool,
        /// Whether it is about to be left.
        disabled: bool,
        /// Whether it does its part.
        healthy: bool,
        /// Since when it does not.
        unhealthy_since: Option<String>,
    }
}

fn status(cx: &Context<'_>, health: &dyn SealHealth) -> Status {
    let backends = health.backends();
    let since = |backend: &SealBackend| {
        let nanos = i64::try_from(backend.unhealthy_for?.as_nanos()).unwrap_or(i64::MAX);
        Some(framework::Timestamp::from_secs(cx.now.nanos().saturating_sub(nanos) / 1_000_000_000))
    };
    let one = |backend: &SealBackend| -> Map<String, Json> {
        let unhealthy_since = since(backend).map(|since| since.to_string());
        let healthy = unhealthy_since.is_none();
        Backend { name: backend.name.clone(), configured: true, disabled: backend.disabled, healthy, unhealthy_since }
            .emit()
    };
    let first = backends.iter().filter_map(since).min();
    Status {
        healthy: first.is_none(),
        unhealthy_since: first.map(|since| since.to_string()),
        fully_wrapped: health.fully_wrapped(),
        backends: backends.iter().map(|backend| Json::Object(one(backend))).collect(),
    }
}
