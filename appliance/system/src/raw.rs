//! `sys/raw`: the records behind the barrier as they are. For the day when nothing else helps: in recovery mode, or where the
//! configuration says so.
//!
//! What is written goes the way of everything else: in a transaction, through the barrier, and what the server remembers of
//! it is brought up to date. The seal wraps what it wrapped before; a record that is new is wrapped in any case, since only
//! its engine knows whether it is critical.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use framework::Operation::{Delete, List, Read, Update};
use framework::{Context, Error, Names, Page, RawRecords, Route, Secret, fields};

/// Every name.
const WRAPPED: &[&str] = &[""];

pub(crate) fn routes(records: &Arc<dyn RawRecords>) -> Vec<Route> {
    let shared = || Arc::clone(records);
    let (read_from, written_to, deleted_from) = (shared(), shared(), shared());
    vec![
        Route::new(Read, "raw/{path*}", "Read a record as it is.", move |cx: &Context<'_>, at: At| {
            read(&*read_from, cx, &at)
        })
        .sudo(),
        Route::new(Update, "raw/{path*}", "Write a record as it is.", move |cx: &Context<'_>, wanted: Write| {
            write(&*written_to, cx, wanted)
        })
        .creates_unless(|cx, input| Ok(cx.view.get(input.part("path"))?.is_some()))
        .sudo(),
        Route::new(Delete, "raw/{path*}", "Delete a record.", move |cx: &Context<'_>, at: Place| {
            allowed(&*deleted_from, &at.path)?;
            cx.view.delete(&at.path)
        })
        .sudo(),
        Route::new(List, "raw/{path*}", "List the records in a folder.", |cx: &Context<'_>, at: Place| list(cx, &at))
            .sudo(),
    ]
}

fields! {
    struct Place {
        /// Name of the record, or of a folder.
        path: String,
    }

    struct At {
        /// Name of the record.
        path: String,
        /// How the value is shown: as text, or in `base64`.
        encoding: String = String::new(),
        /// Whether a value that is stored compressed is expanded. This server stores none so.
        compressed: bool = true,
    }

    struct Write {
        /// Name of the record.
        path: String,
        /// The record.
        value: String,
        /// How the value is given: as text, or in `base64`.
        encoding: String = String::new(),
        /// How it is to be compressed: not at all.
        compression_type: String = String::new(),
    }

    struct Value {
        /// The record.
        value: String,
    }
}

/// How a value is written in JSON.
#[derive(Clone, Copy)]
enum Encoding {
    Text,
    Base64,
}

impl Encoding {
    fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "" => Ok(Self::Text),
            "base64" => Ok(Self::Base64),
            other => Err(Error::field("encoding", format!("invalid encoding {other:?}"))),
        }
    }
}

fn read(records: &dyn RawRecords, cx: &Context<'_>, at: &At) -> Result<Value, Error> {
    let encoding = Encoding::parse(&at.encoding)?;
    allowed(records, &at.path)?;
    let record = cx.view.get(&at.path)?.ok_or(Error::NotFound)?;
    let value = match encoding {
        Encoding::Base64 => STANDARD.encode(record.expose()),
        Encoding::Text => std::str::from_utf8(record.expose())
            .map_err(|_| Error::field("encoding", "the record is no text: read it with encoding=base64"))?
            .to_owned(),
    };
    Ok(Value { value })
}

fn write(records: &dyn RawRecords, cx: &Context<'_>, wanted: Write) -> Result<(), Error> {
    let encoding = Encoding::parse(&wanted.encoding)?;
    match wanted.compression_type.as_str() {
        "" => {}
        "gzip" | "lzw" | "lz4" | "snappy" => {
            let message = "compression is not supported: no record of this server is compressed";
            return Err(Error::field("compression_type", message));
        }
        other => return Err(Error::field("compression_type", format!("invalid compression type {other:?}"))),
    }
    allowed(records, &wanted.path)?;
    let value = match encoding {
        Encoding::Text => Secret::from(wanted.value),
        Encoding::Base64 => {
            let bytes = STANDARD.decode(&wanted.value);
            Secret::transient(bytes.map_err(|error| Error::field("value", format!("illegal base64 data: {error}")))?)
        }
    };
    let wrapped = records.is_wrapped(&wanted.path)?.unwrap_or(true);
    let view = cx.view.below("", Default::default(), if wrapped { WRAPPED } else { &[] })?;
    view.put(&wanted.path, value)
}

fn list(cx: &Context<'_>, at: &Place) -> Result<Names, Error> {
    let folder = match at.path.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    Names::some(cx.view.list(&folder, &Page::default())?)
}

/// Some records are keys, which nobody reads or changes.
fn allowed(records: &dyn RawRecords, path: &str) -> Result<(), Error> {
    if records.is_protected(path) {
        return Err(Error::field("path", format!("cannot access {path:?}")));
    }
    Ok(())
}
