//! Floor 2: the secrets engines. Each is a value: routes over a view, and nothing else.
#![forbid(unsafe_code)]

pub mod kv;
