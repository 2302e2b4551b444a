//! Floor 3: the corridor that every request walks, and the threads that walk it.
#![forbid(unsafe_code)]

mod authorize;
mod corridor;
mod help;
mod pool;
mod request;
mod workers;

pub use corridor::Pipeline;
pub use request::{Answer, Request, Shape};
pub use workers::Workers;
