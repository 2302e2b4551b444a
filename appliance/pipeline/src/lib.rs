//! Floor 3: the corridor that every request walks, and the threads that walk it.
#![forbid(unsafe_code)]

mod authorize;
mod chores;
mod corridor;
mod help;
mod logins;
mod pool;
mod request;
mod shares;
mod workers;

pub use chores::Chores;
pub use corridor::Pipeline;
pub use request::{Answer, Request, Shape};
pub use shares::{Budget, Shares};
pub use workers::{Width, Workers};
