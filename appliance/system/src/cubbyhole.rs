//! `cubbyhole/`: a place for secrets that belongs to one token and goes with it.

use framework::Operation::{Delete, List, Read, Update};
use framework::{Context, Engine, Error, FreeForm, Input, Json, Map, Page, Route, Secret, TokenKind, fields};

use crate::Keys;

pub(crate) fn engine() -> Engine {
    Engine {
        kind: "cubbyhole",
        about: "The cubbyhole backend reads and writes arbitrary secrets that only the token that wrote them can read.",
        routes: vec![
            Route::new(Read, "{path*}", "Read a secret.", read),
            Route::new(Update, "{path*}", "Write a secret.", write).creates_unless(exists),
            Route::new(Delete, "{path*}", "Delete a secret.", delete),
            Route::new(List, "{path*}", "List the names directly below a path.", list),
        ],
        ..Engine::default()
    }
}

fields! {
    struct At {
        /// Location of the secret.
        path: String,
    }
}

/// A batch token has no record that its cubbyhole could go with.
fn name(cx: &Context<'_>, path: &str) -> Result<String, Error> {
    if cx.caller.kind != TokenKind::Service.name() {
        return Err(Error::invalid("cubbyhole operations are only supported by 'service' type tokens"));
    }
    Ok(format!("{}/{path}", cx.caller.token))
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(cx.view.get(&name(cx, input.part("path"))?)?.is_some())
}

fn read(cx: &Context<'_>, at: At) -> Result<Map<String, Json>, Error> {
    let record = cx.view.get(&name(cx, &at.path)?)?.ok_or(Error::NotFound)?;
    serde_json::from_slice(record.expose()).map_err(Error::internal)
}

fn write(cx: &Context<'_>, put: FreeForm) -> Result<(), Error> {
    if put.data.is_empty() {
        return Err(Error::invalid("missing data fields"));
    }
    cx.view.put(&name(cx, &put.path)?, Secret::transient(serde_json::to_vec(&put.data).map_err(Error::internal)?))
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    cx.view.delete(&name(cx, &at.path)?)
}

fn list(cx: &Context<'_>, at: At) -> Result<Keys, Error> {
    let keys = cx.view.list(&name(cx, &at.path)?, &Page::default())?;
    if keys.is_empty() { Err(Error::NotFound) } else { Ok(Keys { keys }) }
}
