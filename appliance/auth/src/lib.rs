//! Floor 2: the auth methods. Each is a value like a secrets engine, with a login that says which token its caller gets, and
//! with an answer to whether such a token may be renewed.
//!
//! What a login may not tell: whether it was the name or the secret that was wrong. What is stored of a secret: a bcrypt
//! hash (`userpass`), an HMAC under a key of the role's own (`approle`), nothing (`cert`).
#![forbid(unsafe_code)]

pub mod approle;
pub mod cert;
mod names;
mod record;
mod texts;
mod token;
pub mod userpass;

pub use token::TokenSettings;
