//! What the monitor and the roles it starts need of the kernel, without `unsafe` on their side: starting a role with
//! its control socket, dying with the parent, passing descriptors, waiting for signals, children and sockets at once.

mod child;
mod descriptors;
mod environment;
mod limits;
mod wait;

pub use child::{Process, control_socket, describe_exit, die_with_parent, spawn_role};
pub use descriptors::{receive_descriptor, send_descriptor};
pub use environment::take_variable;
pub(crate) use limits::status_field;
pub use limits::{locked_kib, memlock_limit, raise_file_limit, raise_memlock_limit};
pub use wait::{Signal, Signals, wait_readable};
