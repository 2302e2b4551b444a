//! `sys/metrics`: figures, in Vault's JSON or for Prometheus.

use std::sync::Arc;

use framework::Operation::Read;
use framework::metrics::Page;
use framework::{Context, Error, Output, Raw, Route, fields};

use crate::Core;

/// Figures for those who watch the server.
#[derive(Clone)]
pub struct Telemetry {
    /// All of them, now.
    pub page: Arc<dyn Fn() -> Page + Send + Sync>,
    /// Whether Prometheus' form is given.
    pub prometheus: bool,
    /// Whether anybody gets them, while sealed too.
    pub unauthenticated: bool,
}

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let Telemetry { page, prometheus, unauthenticated } = core.telemetry.clone();
    let route = Route::new(Read, "metrics", "Figures of this server.", move |cx: &Context<'_>, wanted: Wanted| {
        match wanted.format.as_deref() {
            None | Some("" | "json") => Ok(Output { data: Some(page().json(cx.now)), ..Output::default() }),
            Some("prometheus") if prometheus => {
                Ok(Output::raw(Raw { media_type: Page::TEXT, body: page().text().into() }))
            }
            Some("prometheus") => Err(Error::field("format", "prometheus is not enabled")),
            Some(other) => Err(Error::field("format", format!("metric response format {other:?} unknown"))),
        }
    });
    let route = route.bare();
    vec![if unauthenticated { route.open().while_sealed() } else { route }]
}

fields! {
    struct Wanted {
        /// `json`, or `prometheus`.
        format: Option<String> => clear,
    }
}
