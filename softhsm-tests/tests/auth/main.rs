//! Auth methods as clients see them: mounts, logins, renewals, lockouts, certificates over TLS.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod certificates;
mod lockouts;
mod logins;
mod mounts;

use serde_json::{Value, json};
use softhsm_tests::{Client, Seal, Server, Setup};

fn server(extra: &str) -> Server {
    Server::start(Setup { extra: extra.to_owned(), ..Setup::new(Seal::Shamir, "memory") })
}

fn enable(server: &Server, path: &str, kind: &str) {
    server.client().post(&format!("sys/auth/{path}"), json!({"type": kind})).is(204);
}

/// A client without a token.
fn nobody(server: &Server) -> Client {
    server.client().with_token("")
}

/// The `auth` of a login's answer, and a client with the token.
fn login(server: &Server, path: &str, body: Value) -> (Client, Value) {
    let auth = nobody(server).post(&format!("auth/{path}"), body).is(200)["auth"].clone();
    (server.client().with_token(auth["client_token"].as_str().unwrap()), auth)
}
