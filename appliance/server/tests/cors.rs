//! Web pages of other origins: what browsers are told, and what does not get through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::sync::Arc;

use common::{Response, Running, Stub, echo, send, start, start_with};
use framework::{Cors, Error};
use server::{Corridor, Limits, Reply};

/// Echoes, also to pages of other origins.
struct Open(Stub, Arc<Cors>);

impl Corridor for Open {
    fn submit(&self, request: pipeline::Request, reply: Reply) -> Result<(), Error> {
        self.0.submit(request, reply)
    }

    fn cors(&self) -> Option<Arc<Cors>> {
        Some(Arc::clone(&self.1))
    }
}

fn open(origins: &[&str], credentials: bool) -> Running {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let cors = Cors { origins, more_headers: vec!["X-More".to_owned()], credentials };
    start_with(Open(Stub(Box::new(echo)), Arc::new(cors)), Limits::default(), None)
}

const ASKS: &str = "Access-Control-Request-Method: PUT";

fn told(response: &Response) -> [Option<&str>; 6] {
    ["origin", "credentials", "methods", "headers"]
        .map(|name| response.header(&format!("access-control-allow-{name}")))
        .into_iter()
        .chain([response.header("access-control-max-age"), response.header("vary")])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap()
}

#[tokio::test]
async fn browsers_learn_what_a_page_may_send() {
    let server = open(&["https://a.example", "https://b.example"], false);
    let answer = send(server.address, "OPTIONS /v1/a", &["Origin: https://b.example", ASKS], b"").await;
    let headers = "Content-Type,Authorization,X-Vault-Token,X-Vault-MFA,X-Vault-No-Request-Forwarding,X-Vault-Wrap-Format,\
                   X-Vault-Wrap-TTL,X-Requested-With,X-Vault-AWS-IAM-Server-ID,X-Vault-Policy-Override,X-More";
    let methods = Some("DELETE,GET,OPTIONS,POST,PUT,PATCH,LIST");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let wanted = [Some("https://b.example"), None, methods, Some(headers), Some("300"), Some("Origin")];
    assert_eq!(told(&answer), wanted);

    let answer = send(server.address, "GET /v1/a", &["Origin: https://a.example"], b"").await;
    assert_eq!(answer.data()["path"], "a");
    assert_eq!(told(&answer), [Some("https://a.example"), None, None, None, None, Some("Origin")]);
    let answer = send(server.address, "GET /v1/refused", &["Origin: https://a.example"], b"").await;
    assert_eq!((answer.status, told(&answer)[0]), (503, Some("https://a.example")), "the page may see errors too");

    let everyone = open(&["*"], true);
    let answer = send(everyone.address, "GET /v1/a", &["Origin: null"], b"").await;
    assert_eq!(told(&answer)[..2], [Some("null"), Some("true")]);
}

#[tokio::test]
async fn other_origins_get_nowhere() {
    let server = open(&["https://a.example"], true);
    for origin in
        ["https://c.example", "https://A.example", "https://a.example:443", "https://a.example.evil", "null", "*", ""]
    {
        for line in ["GET /v1/a", "POST /v1/a", "OPTIONS /v1/a"] {
            let answer = send(server.address, line, &[&format!("Origin: {origin}"), ASKS], b"{}").await;
            assert_eq!((answer.status, answer.errors().as_str()), (403, "[\"origin not allowed\"]"), "{line} {origin}");
            assert_eq!(told(&answer), [None; 6]);
        }
    }
    for headers in
        [&["Origin: https://a.example"][..], &["Origin: https://a.example", "Access-Control-Request-Method: TRACE"]]
    {
        assert_eq!(send(server.address, "OPTIONS /v1/a", headers, b"").await.status, 405);
    }
    // Whoever is no browser, and where no origin is allowed.
    let closed = start(Limits::default());
    for (address, headers) in [(server.address, &[ASKS][..]), (closed.address, &["Origin: https://a.example", ASKS])] {
        let answer = send(address, "GET /v1/a", headers, b"").await;
        assert_eq!((answer.status, told(&answer)), (200, [None; 6]));
        assert_eq!(send(address, "OPTIONS /v1/a", headers, b"").await.status, 405);
    }
}
