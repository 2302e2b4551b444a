//! `auth/token/roles`: what tokens may be that are made by a role.

use std::sync::Arc;

use framework::Operation::{Delete, List, Read, Update};
use framework::{Change, Context, Error, Fields, Input, Json, Map, Names, Output, Paging, Route, Secs, fields};
use registry::{Registry, TokenRole};

use crate::Core;

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let registry = || Arc::clone(&core.registry);
    let (for_list, for_read, for_write, for_delete, exists) =
        (registry(), registry(), registry(), registry(), registry());
    vec![
        Route::new(List, "roles", "The names of all token roles.", move |cx: &Context<'_>, paging: Paging| {
            Names::some(paging.of(for_list.token_roles(&cx.view)?))
        }),
        Route::new(Read, "roles/{role_name}", "Read a token role.", move |cx: &Context<'_>, at: At| {
            let mut shown = for_read.token_role(&cx.view, &at.role_name)?.ok_or(Error::NotFound)?.emit();
            shown.insert("name".to_owned(), at.role_name.into());
            Ok::<Map<String, Json>, Error>(shown)
        }),
        Route::new(
            Update,
            "roles/{role_name}",
            "Make a token role, or change what is given of one.",
            move |cx: &Context<'_>, (at, change): (At, Change<TokenRole>)| write(&for_write, cx, &at.role_name, change),
        )
        .creates_unless(move |cx, input| Ok(exists.token_role(&cx.view, input.part("role_name"))?.is_some())),
        Route::new(Delete, "roles/{role_name}", "Delete a token role.", move |cx: &Context<'_>, at: At| {
            for_delete.delete_token_role(&cx.view, &at.role_name)
        }),
    ]
}

fields! {
    struct At {
        /// The name of the role.
        role_name: String,
    }
}

fn write(registry: &Registry, cx: &Context<'_>, name: &str, mut change: Change<TokenRole>) -> Result<Output, Error> {
    let mut output = Output::default();
    let mut ignored = Vec::new();
    for (old, new) in [
        ("period", "token_period"),
        ("bound_cidrs", "token_bound_cidrs"),
        ("explicit_max_ttl", "token_explicit_max_ttl"),
    ] {
        if change.has(old) && change.has(new) {
            let said = format!("Both '{new}' and deprecated '{old}' value supplied, ignoring the deprecated value");
            output.warnings.push(said);
            ignored.push(old);
        }
        change.supersede(old, new);
    }
    let before = match registry.token_role(&cx.view, name)? {
        Some(role) => role,
        None => TokenRole::parse(&mut Input::default())?,
    };
    let mut role = change.over(before)?;
    for old in ignored {
        match old {
            "period" => role.period = Secs::default(),
            "bound_cidrs" => role.bound_cidrs = None,
            _ => role.explicit_max_ttl = Secs::default(),
        }
    }
    let Secs(own) = role.token_explicit_max_ttl;
    if own > cx.mount.max_ttl {
        output.warnings.push(format!(
            "Given explicit max TTL of {} is greater than system/mount allowed value of {} seconds; tokens created against \
             this role will not live longer than the latter",
            own.as_secs(),
            cx.mount.max_ttl.as_secs()
        ));
    }
    registry.put_token_role(&cx.view, name, role)?;
    Ok(output)
}
