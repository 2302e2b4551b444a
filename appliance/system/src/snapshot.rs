//! `sys/storage/raft/snapshot`: the whole store in one file, out and in. The paths are Vault's, so that its clients work; there
//! is no Raft here.

use std::io::Read;
use std::sync::Arc;

use framework::Operation::{Read as Get, Update};
use framework::{Context, Error, Output, Route, Stream, waiting};

use crate::{Core, Nothing};

/// Saves and restores the whole store.
pub trait Snapshots: Send + Sync {
    /// An archive of the store as it is now, checked, to be read while the store goes on.
    fn save(&self) -> Result<Box<dyn Read + Send>, Error>;
    /// Checks an archive, puts it in place of the store, and has the server started anew; until then the store refuses
    /// everything. Unless `force`, this server's seal must open it, and every record must be as it was written. On an error
    /// nothing is changed.
    fn restore(&self, archive: &mut dyn Read, force: bool) -> Result<(), Error>;
}

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let snapshots = Arc::clone(&core.snapshots);
    let save = move |_: &Context<'_>, _: Nothing| {
        let snapshots = Arc::clone(&snapshots);
        let work = move |output: Output, _: &mut dyn Read| {
            let stream = Stream { media_type: "application/gzip", bytes: waiting(|| snapshots.save())? };
            Ok(Output { stream: Some(stream), ..output })
        };
        Ok(Output { outside: Some(Box::new(work)), ..Output::default() })
    };
    let restore = |path: &'static str, about: &'static str, force: bool| {
        let snapshots = Arc::clone(&core.snapshots);
        let restore = move |_: &Context<'_>, _: Nothing| {
            let snapshots = Arc::clone(&snapshots);
            let work = move |output: Output, archive: &mut dyn Read| {
                waiting(|| snapshots.restore(archive, force)).map(|()| output)
            };
            Ok(Output { outside: Some(Box::new(work)), ..Output::default() })
        };
        Route::new(Update, path, about, restore).streamed()
    };
    vec![
        Route::new(Get, "storage/raft/snapshot", "Take a snapshot of the whole store.", save).streamed(),
        restore("storage/raft/snapshot", "Replace the whole store by a snapshot that this server's seal opens.", false),
        restore("storage/raft/snapshot-force", "Replace the whole store by a snapshot, whoever's seal opens it.", true),
    ]
}
