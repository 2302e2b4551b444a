//! `sys/audit`, `sys/audit-hash`, and the headers that the audit log records.

use std::collections::BTreeMap;
use std::sync::Arc;

use framework::Operation::{Delete, Read, Update};
use framework::{Context, Error, Fields, Json, Map, Route, Secret, fields};
use registry::AuditSpec;

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let mut routes = devices(core);
    routes.extend(headers(core));
    routes
}

fn devices(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (for_list, for_enable, for_disable, for_hash) = (registry(), registry(), registry(), registry());
    vec![
        Route::new(Read, "audit", "List the audit devices.", move |_: &Context<'_>, _: Nothing| {
            let devices = for_list.audit_devices()?;
            let devices = devices.iter().map(|device| (device.path.clone(), Json::Object(device.to_json())));
            Ok(devices.collect::<Map<String, Json>>())
        })
        .sudo()
        .merged(),
        Route::new(Update, "audit/{path*}", "Enable an audit device.", move |cx: &Context<'_>, wanted: Wanted| {
            let spec = AuditSpec {
                path: wanted.path,
                kind: wanted.r#type,
                description: wanted.description.unwrap_or_default(),
                options: wanted.options,
                local: wanted.local,
            };
            for_enable.enable_audit(&cx.view, spec)
        })
        .sudo(),
        Route::new(Delete, "audit/{path*}", "Disable an audit device.", move |cx: &Context<'_>, at: At| {
            for_disable.disable_audit(&cx.view, &at.path)
        })
        .sudo(),
        Route::new(
            Update,
            "audit-hash/{path*}",
            "What stands in an audit log for a text.",
            move |_: &Context<'_>, given: Given| {
                let input = given.input.filter(|input| !input.is_empty());
                let input = input.ok_or_else(|| Error::field("input", "the \"input\" parameter is empty"))?;
                Ok(Hash { hash: for_hash.audit_hash(&given.path, &Secret::from(input))? })
            },
        )
        .merged(),
    ]
}

fn headers(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (for_list, for_read, for_update, for_delete) = (registry(), registry(), registry(), registry());
    vec![
        Route::new(
            Read,
            "config/auditing/request-headers",
            "List the request headers that the audit log records.",
            move |_: &Context<'_>, _: Nothing| {
                let headers = for_list.audited_headers()?;
                let headers = headers.into_iter().map(|(name, hmac)| (name, Json::Object(Recorded { hmac }.emit())));
                Ok(RecordedHeaders { headers: headers.collect() })
            },
        )
        .sudo()
        .merged(),
        Route::new(
            Read,
            "config/auditing/request-headers/{header}",
            "How the audit log records a request header.",
            move |_: &Context<'_>, at: Header| {
                let hmac = for_read.audited_headers()?.get(&at.header.to_ascii_lowercase()).copied();
                let hmac = hmac.ok_or_else(|| Error::field("header", "Could not find header in config"))?;
                Ok(Map::from_iter([(at.header, Json::Object(Recorded { hmac }.emit()))]))
            },
        )
        .sudo()
        .merged(),
        Route::new(
            Update,
            "config/auditing/request-headers/{header}",
            "Have the audit log record a request header.",
            move |cx: &Context<'_>, wanted: WantedHeader| {
                for_update.audit_header(&cx.view, &wanted.header, wanted.hmac)
            },
        )
        .sudo(),
        Route::new(
            Delete,
            "config/auditing/request-headers/{header}",
            "Have the audit log record a request header no more.",
            move |cx: &Context<'_>, at: Header| for_delete.forget_header(&cx.view, &at.header),
        )
        .sudo(),
    ]
}

fields! {
    struct Header {
        /// The header's name. Its case does not matter.
        header: String,
    }

    struct WantedHeader {
        /// The header's name. Its case does not matter.
        header: String,
        /// Whether its values are recorded as their HMACs.
        hmac: bool = false,
    }

    struct Recorded {
        /// Whether its values are recorded as their HMACs.
        hmac: bool,
    }

    struct RecordedHeaders {
        /// The headers, in lower case.
        headers: Map<String, Json>,
    }

    struct At {
        /// The device's path.
        path: String,
    }

    struct Wanted {
        /// The device's path.
        path: String,
        /// The kind of device: `file`.
        r#type: String => clear,
        /// Free text.
        description: Option<String> => clear,
        /// Options of the device: `file_path` and others.
        options: BTreeMap<String, String>,
        /// Whether the device stays on this cluster.
        local: bool = false,
    }

    struct Given {
        /// The device's path.
        path: String,
        /// The text.
        input: Option<String>,
    }

    struct Hash {
        /// The HMAC that the log shows.
        hash: String,
    }
}
