//! Version 1: a record is what was last written to its path.

use framework::{
    Context, Engine, Error, FreeForm, Input, IntoOutput, Json, Lease, Map, Names, Operation, Output, Paging, Route,
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

    struct Folder {
        /// Path whose direct children are listed.
        path: String,
    }
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(cx.view.get(input.part("path"))?.is_some())
}

fn read(cx: &Context<'_>, at: At) -> Result<Output, Error> {
    let data: Map<String, Json> = cx.view.read(&at.path)?.ok_or(Error::NotFound)?;
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
    cx.view.write(&put.path, &put.data)
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    cx.view.delete(&at.path)
}

fn list(cx: &Context<'_>, (folder, paging): (Folder, Paging)) -> Result<Names, Error> {
    Names::below(&cx.view, &folder.path, paging)
}
