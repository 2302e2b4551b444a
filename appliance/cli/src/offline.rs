//! What can be done on this machine without a server. The client itself speaks HTTP and nothing else; who knows the files
//! does the work.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// An object to be shown, or a sentence that says why there is none.
pub type Shown = Result<Value, String>;

/// Snapshots and data directories, as files. `config` are the configuration files of the server whose data it is; it must
/// not run.
#[derive(Clone, Copy)]
pub struct Offline {
    /// Reads all of a snapshot file and checks it: what it holds.
    pub inspect: fn(snapshot: &Path) -> Shown,
    /// Puts a snapshot in place of the data: what it held.
    pub restore: fn(config: &[PathBuf], snapshot: &Path) -> Shown,
    /// What the data can be made again as.
    pub span: fn(config: &[PathBuf]) -> Shown,
    /// Makes the data again as it was at a record or a time: which that is.
    pub rewind: fn(config: &[PathBuf], at: &str) -> Shown,
    /// Puts back what the last of these replaced.
    pub undo: fn(config: &[PathBuf]) -> Shown,
}
