//! What keeps secrets inside the process and the process inside its box: guarded memory, a wiping allocator,
//! and the kernel's locks (seccomp, Landlock, capabilities, resource limits).
//!
//! This is the only crate that may hold `unsafe` code. Each such block says why it is needed (`JUSTIFICATION`) and why
//! it is sound (`SAFETY`).

mod allocator;
pub mod arena;
mod blocks;
mod guarded;
pub mod lockdown;
pub mod process;
mod random;
mod report;
mod secret;
mod wipe;

pub use allocator::{HeapUsage, WipingAllocator, heap_usage};
pub use arena::ArenaFull;
pub use guarded::Guarded;
pub use random::random_bytes;
pub use report::{Item, Report, State};
pub use secret::Secret;
pub use wipe::{leaving_no_deep_trace, leaving_no_trace, wipe_deep_stack, wipe_stack};
