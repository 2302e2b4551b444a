//! Mounts: which engine answers under which path, and where its records stand.

mod change;
mod entry;
mod removal;
mod requests;
mod spec;
mod table;

pub use entry::{DefaultMount, Mount, MountClass, MountConfig, MountEntry, default_mounts};
pub use requests::Requests;
pub(crate) use spec::Migrations;
pub use spec::{LockoutChange, Migration, MountSpec, Tune};
pub(crate) use table::Table;
