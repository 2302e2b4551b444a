//! `sys/config/cors`: which web pages of other origins may use the API.

use std::sync::Arc;

use framework::Operation::{Delete, Read, Update};
use framework::{Context, Cors, Error, Route, fields};

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (for_read, for_update, for_delete) = (registry(), registry(), registry());
    vec![
        Route::new(Read, "config/cors", "Which origins may use the API.", move |_: &Context<'_>, _: Nothing| {
            Ok(Shown::of(for_read.cors().as_deref()))
        })
        .sudo()
        .merged(),
        Route::new(Update, "config/cors", "Let web pages use the API.", move |cx: &Context<'_>, wanted: Wanted| {
            if wanted.enable == Some(false) {
                return Err(Error::field("enable", "it is disabled by a DELETE"));
            }
            let cors = Cors {
                origins: wanted.allowed_origins.unwrap_or_default(),
                more_headers: wanted.allowed_headers.unwrap_or_default(),
                credentials: wanted.allow_credentials,
            };
            for_update.allow_origins(&cx.view, &cors)
        })
        .sudo(),
        Route::new(Delete, "config/cors", "Let no web pages use the API.", move |cx: &Context<'_>, _: Nothing| {
            for_delete.allow_no_origins(&cx.view)
        })
        .sudo(),
    ]
}

fields! {
    struct Wanted {
        /// Given, it is true: a DELETE disables.
        enable: Option<bool>,
        /// Origins such as `https://ui.example:8443`, byte by byte as browsers send them; `*` alone for all.
        allowed_origins: Option<Vec<String>> => clear,
        /// Headers that pages may send besides the usual ones.
        allowed_headers: Option<Vec<String>> => clear,
        /// Whether browsers may send cookies and the like along.
        allow_credentials: bool = false,
    }

    struct Shown {
        /// Whether any origin may use the API.
        enabled: bool,
        /// The origins.
        allowed_origins: Option<Vec<String>>,
        /// All headers that pages may send.
        allowed_headers: Option<Vec<String>>,
        /// Whether browsers may send cookies and the like along.
        allow_credentials: Option<bool>,
    }
}

impl Shown {
    fn of(cors: Option<&Cors>) -> Self {
        Self {
            enabled: cors.is_some(),
            allowed_origins: cors.map(|cors| cors.origins.clone()),
            allowed_headers: cors.map(|cors| cors.headers().map(str::to_owned).collect()),
            allow_credentials: cors.map(|cors| cors.credentials),
        }
    }
}
