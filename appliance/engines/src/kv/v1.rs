//! Version 1: a record is what was last written to its path.

use framework::{
    Context, Engine, Error, FreeForm, Input, IntoOutput, Json, Lease, Map, Operation, Output, Page, Route, Secret,
    duration, fields,
};

/// The engine, kind `kv`.
pub fn engine() -> Engine {
    Engine {
        kind: "kv",
        about: "Stores arbitrary secrets within the configured physical storage.",
        routes: vec![
            Route::new(Operation::Read, "{path*}", "Retrieve the secret at the specified location.", read),
            Route::new(Operation::Update, "{path*}", "Set the secret at the specified location.", write)
                .creates_unless(exists),
            Route::new(Operation::Delete, "{path*}", "Deletes the secret at the specified location.", delete),
            Route::new(Operation::List, "{path*}", "List the names directly below a path.", list),
        ],
        seal_wrapped: &[""],
        ..Engine::default()
    }
}

fields! {
    struct At {
        /// Location of the secret.
        path: String,
    }

    struct Listing {
        /// Path whose direct children are listed.
        path: String,
        /// Begin after this name.
        after: Option<String>,
        /// At most this many names; negative or absent for all.
        limit: Option<i64>,
    }

    struct Names {
        /// The names; folders end in a slash.
        keys: Vec<String>,
    }
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(cx.view.get(input.part("path"))?.is_some())
}

fn read(cx: &Context<'_>, at: At) -> Result<Output, Error> {
    let record = cx.view.get(&at.path)?.ok_or(Error::NotFound)?;
    let data: Map<String, Json> = serde_json::from_slice(record.expose()).map_err(Error::internal)?;
    // A field `ttl` says how long a client may keep the secret; there is no lease to renew.
    let asked = data.get("ttl").and_then(|ttl| match ttl {
        Json::String(text) => duration::parse(text),
        Json::Number(number) => number.as_u64().map(std::time::Duration::from_secs),
        _ => None,
    });
    let lease = Lease { duration: asked.unwrap_or(cx.mount.default_ttl), ..Lease::default() };
    Ok(Output { lease: Some(lease), ..data.into_output() })
}

fn write(cx: &Context<'_>, put: FreeForm) -> Result<(), Error> {
    if put.path.is_empty() {
        return Err(Error::field("path", "missing path"));
    }
    if put.data.is_empty() {
        return Err(Error::invalid("missing data fields"));
    }
    let record = serde_json::to_vec(&put.data).map_err(Error::internal)?;
    cx.view.put(&put.path, Secret::transient(record))
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    cx.view.delete(&at.path)
}

fn list(cx: &Context<'_>, listing: Listing) -> Result<Names, Error> {
    names(cx, &listing.path, listing.after, listing.limit).map(|keys| Names { keys })
}

/// The names below `folder`, or [`Error::NotFound`] where there are none.
pub(super) fn names(
    cx: &Context<'_>,
    folder: &str,
    after: Option<String>,
    limit: Option<i64>,
) -> Result<Vec<String>, Error> {
    let page = Page {
        after: after.filter(|name| !name.is_empty()),
        limit: limit.and_then(|limit| usize::try_from(limit).ok()).filter(|&limit| limit > 0),
    };
    let names = cx.view.list(folder, &page)?;
    if names.is_empty() { Err(Error::NotFound) } else { Ok(names) }
}
