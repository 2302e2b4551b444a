//! `sys/key-status` and `sys/rotate`: the data key in use.

use std::sync::Arc;

use framework::Operation::{Read, Update};
use framework::{Context, Output, Route, fields};

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let keyring = Arc::clone(&core.keyring);
    let rotate = |path: &'static str| {
        let keyring = Arc::clone(&core.keyring);
        Route::new(Update, path, "Make a new data key for new values.", move |cx: &Context<'_>, _: Nothing| {
            let (keyring, now) = (Arc::clone(&keyring), cx.now);
            // Not part of the transaction: the keyring has a record of its own, below it.
            Ok(Output { finally: Some(Box::new(move || keyring.rotate(now))), ..Output::default() })
        })
        .sudo()
    };
    vec![
        Route::new(Read, "key-status", "The data key in use.", move |_: &Context<'_>, _: Nothing| {
            let status = keyring.status()?;
            Ok(Status {
                term: status.term,
                install_time: status.installed.to_string(),
                encryptions: status.encryptions,
            })
        })
        .merged(),
        rotate("rotate"),
        rotate("rotate/keyring"),
    ]
}

fields! {
    struct Status {
        /// The key's number.
        term: u32,
        /// When it was made.
        install_time: String,
        /// Values encrypted with it, estimated.
        encryptions: u64,
    }
}
