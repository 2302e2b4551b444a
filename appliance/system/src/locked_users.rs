//! `sys/locked-users`: users who failed to log in too often.

use std::collections::BTreeMap;
use std::sync::Arc;

use framework::Operation::{Read, Update};
use framework::{Context, Json, Route, fields};
use serde_json::json;

use crate::Core;

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let (for_list, for_unlock) = (Arc::clone(&core.registry), Arc::clone(&core.registry));
    vec![
        Route::new(Read, "locked-users", "The users that are locked out.", move |cx: &Context<'_>, filter: Filter| {
            let mut users = for_list.locked_users(cx.now)?;
            if let Some(accessor) = filter.mount_accessor.filter(|accessor| !accessor.is_empty()) {
                let only = users.remove(&accessor).unwrap_or_default();
                users = [(accessor, only)].into();
            }
            Ok(shown(users))
        }),
        Route::new(
            Update,
            "locked-users/{mount_accessor}/unlock/{alias_identifier*}",
            "Let a user in again.",
            move |cx: &Context<'_>, user: User| {
                for_unlock.unlock_user(&cx.view, &user.mount_accessor, &user.alias_identifier)
            },
        ),
    ]
}

fields! {
    struct Filter {
        /// The users of this auth method alone.
        mount_accessor: Option<String>,
    }

    struct User {
        /// The accessor of the auth method.
        mount_accessor: String,
        /// The user's name; for approle the role's id.
        alias_identifier: String,
    }

    struct LockedUsers {
        /// The users, by namespace and by auth method.
        by_namespace: Json,
        /// How many there are.
        total: u64,
    }
}

fn shown(users: BTreeMap<String, Vec<String>>) -> LockedUsers {
    let total = users.values().map(|names| names.len() as u64).sum();
    let by_mount = |(accessor, names): (String, Vec<String>)| json!({"mount_accessor": accessor, "counts": names.len(), "alias_identifiers": names});
    let mounts: Vec<Json> = users.into_iter().map(by_mount).collect();
    let root = json!({"namespace_id": "root", "namespace_path": "", "counts": total, "mount_accessors": mounts});
    LockedUsers { by_namespace: json!([root]), total }
}
