//! `sys/audit` and `sys/audit-hash`.

use std::collections::BTreeMap;
use std::sync::Arc;

use framework::Operation::{Delete, Read, Update};
use framework::{Context, Error, Json, Map, Route, Secret, fields};
use registry::AuditSpec;

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
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

fields! {
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
