//! Floor 4: the HTTP front. It decodes a request, hands it to the corridor, and encodes the answer.
//!
//! Everything that a client sends is hostile until decoded: sizes, times and the number of connections are bounded by
//! [`Limits`], and what cannot be read becomes a 4xx. Async ends here; the corridor runs on threads of its own and
//! encodes its answers there.
//!
//! - **Invariant:** one match maps errors to status codes ([`encode`]).
//! - **Invariant:** nothing of a request outlives it in this crate: no static, no cache, no log line holds a token, a body or a value.
#![forbid(unsafe_code)]

mod body;
mod certificate;
mod config;
mod connection;
mod corridor;
mod cross;
mod decode;
mod encode;
mod front;
#[cfg(fuzzing)]
pub mod fuzzing;
mod json;
mod listen;
mod query;
mod scrubbed;
mod stream;
mod target;
mod tls;
mod validity;

pub use certificate::CertificateError;
pub use config::{ClientCertificates, Limits, Listener, Tls, TlsVersion};
pub use corridor::{Corridor, Reply};
pub use listen::{Handle, Server, StartError};
