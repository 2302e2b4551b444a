//! `cubbyhole/`: a place for secrets that belongs to one token and goes with it.

use framework::Operation::{Delete, List, Read, Update};
use framework::{Context, Engine, Error, FreeForm, Input, Names, Output, Paging, Route, TokenKind, fields};

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

/// The warning is OpenBao's.
const DEPRECATED: &str = "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, \
                          as it provides additional security checks and other benefits.";

/// A batch token has no record that its cubbyhole could go with.
fn name(cx: &Context<'_>, path: &str) -> Result<String, Error> {
    if cx.caller.kind != TokenKind::Service.name() {
        return Err(Error::invalid("cubbyhole operations are only supported by 'service' type tokens"));
    }
    Ok(format!("{}/{path}", cx.caller.token))
}

/// The name of one secret, not of a folder.
fn secret(cx: &Context<'_>, path: &str) -> Result<String, Error> {
    match path {
        "" => Err(Error::invalid("missing path")),
        path if path.ends_with('/') => Err(Error::invalid("cannot write to a path ending in '/'")),
        path => name(cx, path),
    }
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(cx.view.get(&secret(cx, input.part("path"))?)?.is_some())
}

fn read(cx: &Context<'_>, at: At) -> Result<Output, Error> {
    let path = at.path.trim_end_matches('/');
    let data = cx.view.read(&secret(cx, path)?)?.filter(|_| path == at.path).ok_or(Error::NotFound)?;
    let old_form = path == "response" && registry::wraps(&cx.caller.policies);
    let warnings = if old_form { vec![DEPRECATED.to_owned()] } else { Vec::new() };
    Ok(Output { data: Some(data), warnings, ..Output::default() })
}

fn write(cx: &Context<'_>, put: FreeForm) -> Result<(), Error> {
    if put.data.is_empty() {
        return Err(Error::invalid("missing data fields"));
    }
    cx.view.write(&secret(cx, &put.path)?, &put.data)
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    cx.view.delete(&secret(cx, &at.path)?)
}

fn list(cx: &Context<'_>, (at, paging): (At, Paging)) -> Result<Names, Error> {
    Names::below(&cx.view, &name(cx, &at.path)?, paging)
}
