//! Hostile clients: everything is bounded, and the answer is a 4xx or a closed connection.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::time::Duration;

use common::{LONG, ends, exchange, receive, request, send, start};
use server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

fn small() -> Limits {
    Limits { body: 1 << 20, head: 16 << 10, ..Limits::default() }
}

#[tokio::test]
async fn a_large_body_is_413_whether_announced_or_not() {
    let server = start(small());
    let body = vec![b'x'; (1 << 20) + 1];
    let response = send(server.address, "POST /v1/a", &[], &body).await;
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));

    let chunked = [b"100001\r\n", &body[..], b"\r\n0\r\n\r\n"].concat();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = request("POST /v1/a", &["Transfer-Encoding: chunked"], b"");
    bytes.extend_from_slice(&chunked);
    assert_eq!(exchange(&mut stream, &bytes).await.unwrap().status, 413);

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = request("POST /v1/a", &["Expect: 100-continue", "Content-Length: 99999999999"], b"");
    assert_eq!(exchange(&mut stream, &head).await.unwrap().status, 413, "it waits for no body");

    let largest = [b"{\"a\":\"", &body[..(1 << 20) - 8], b"\"}"].concat();
    assert_eq!(send(server.address, "POST /v1/a", &[], &largest).await.status, 200);
}

#[tokio::test]
async fn a_large_head_is_431() {
    let server = start(small());
    let long = format!("X-Vault-Token: {}", "a".repeat(20 << 10));
    assert_eq!(send(server.address, "GET /v1/a", &[&long], b"").await.status, 431);
    let many: Vec<String> = (0..500).map(|n| format!("X-{n}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(send(server.address, "GET /v1/a", &many, b"").await.status, 431);
    assert_eq!(send(server.address, "GET /v1/a", &[&long[..8000]], b"").await.status, 200);
}

#[tokio::test]
async fn values_in_a_body_are_bounded() {
    let server = start(Limits { json_values: 1000, ..small() });
    let list = |count: usize| format!("{{\"a\":[{}1]}}", "1,".repeat(count)).into_bytes();
    assert_eq!(send(server.address, "POST /v1/a", &[], &list(900)).await.status, 200);
    assert_eq!(send(server.address, "POST /v1/a", &[], &list(1000)).await.status, 400);
}

#[tokio::test]
async fn large_bodies_and_answers_share_a_budget() {
    let (begin, begun) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = std::sync::Mutex::new(ended);
    let held = move || {
        begin.send(()).unwrap();
        let _ = ended.lock().unwrap().recv_timeout(LONG);
    };
    let limits = Limits { body_memory: 1 << 20, ..small() };
    let server =
        common::start_with(Held { held: std::sync::Arc::new(held), large: "x".repeat(600 << 10) }, limits, None);
    let address = server.address;
    let body = [b"{\"a\":\"", &vec![b'x'; 600 << 10][..], b"\"}"].concat();
    let first = tokio::spawn({
        let body = body.clone();
        async move { send(address, "POST /v1/held", &[], &body).await }
    });
    tokio::task::spawn_blocking(move || begun.recv_timeout(LONG)).await.unwrap().unwrap();

    // While it is at work there is room for no other large body, nor for the answer to a small one if that is large.
    for (line, body) in [("POST /v1/a", &body[..]), ("GET /v1/large", b"")] {
        let refused = send(address, line, &[], body).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{line}");
    }
    assert_eq!(send(address, "POST /v1/a", &[], b"{}").await.status, 200);
    drop(end);
    assert_eq!(first.await.unwrap().status, 200, "what it held is enough for its answer");

    let freed = async {
        for (line, body) in [("POST /v1/a", &body[..]), ("GET /v1/large", b"")] {
            while send(address, line, &[], body).await.status != 200 {}
        }
    };
    tokio::time::timeout(LONG, freed).await.expect("what the first one took comes back");
}

/// Echoes, but holds on to requests for `held`, and answers those for `large` with much.
struct Held {
    held: std::sync::Arc<dyn Fn() + Send + Sync>,
    large: String,
}

impl server::Corridor for Held {
    fn submit(&self, request: pipeline::Request, reply: server::Reply) -> Result<(), framework::Error> {
        let (held, path) = (std::sync::Arc::clone(&self.held), request.path.clone());
        let mut answer = common::echo(request);
        if let (true, Ok(output)) = (path == "large", &mut answer.result) {
            output.data.get_or_insert_default().insert("large".into(), self.large.clone().into());
        }
        std::thread::spawn(move || {
            if path == "held" {
                held();
            }
            reply(answer);
        });
        Ok(())
    }
}

#[tokio::test]
async fn two_lengths_end_the_connection() {
    let server = start(small());
    for headers in [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Transfer-Encoding: gzip", "X-A: b"],
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let mut bytes = request("POST /v1/a", &headers, b"");
        bytes.extend_from_slice(b"0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(&bytes).await.unwrap();
        let first = receive(&mut stream).await;
        assert!(first.is_none_or(|first| matches!(first.status, 200 | 400)), "{headers:?}");
        assert!(receive(&mut stream).await.is_none(), "a smuggled request was answered: {headers:?}");
    }
}

#[tokio::test]
async fn malformed_requests_are_400_and_end_the_connection() {
    let server = start(small());
    for bytes in [
        &b"GET /v1/a HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n"[..],
        b"GET /v1/a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let response = exchange(&mut stream, bytes).await;
        assert!(response.is_none_or(|response| response.status == 400), "{:?}", String::from_utf8_lossy(bytes));
        assert!(ends(&mut stream, LONG).await);
    }
    assert_eq!(send(server.address, "GET /v1/a", &[], b"").await.status, 200, "the server is still there");
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let quick = Duration::from_millis(200);
    let server = start(Limits { idle: quick, upload: quick, download: quick, ..small() });
    // Nothing at all, half a head, and a head after a first request.
    for bytes in [&b""[..], b"GET /v1/a HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(ends(&mut stream, LONG).await);
    }
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap().status, 200);
    stream.write_all(b"GET /v1/a HTTP/1.1\r\n").await.unwrap();
    assert!(ends(&mut stream, LONG).await);
    // Half a body.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let response = exchange(&mut stream, &request("POST /v1/a", &["Content-Length: 10"], b"")).await.unwrap();
    assert_eq!(response.status, 408);
    assert!(ends(&mut stream, LONG).await);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_503() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let receiver = std::sync::Mutex::new(receiver);
    let stuck = std::sync::Arc::new(move || {
        let _ = receiver.lock().unwrap().recv();
    });
    struct Stuck(std::sync::Arc<dyn Fn() + Send + Sync>);
    impl server::Corridor for Stuck {
        fn submit(&self, request: pipeline::Request, reply: server::Reply) -> Result<(), framework::Error> {
            let stuck = std::sync::Arc::clone(&self.0);
            std::thread::spawn(move || {
                stuck();
                reply(common::echo(request));
            });
            Ok(())
        }
    }
    let limits = Limits { request: Duration::from_millis(100), ..small() };
    let server = common::start_with(Stuck(stuck), limits, None);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let response = exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap();
    assert!(response.status == 503 && response.errors().contains("may still be carried out"), "{response:?}");
    sender.send(()).unwrap();
    drop(sender);
    assert_eq!(exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap().status, 200);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let server = start(Limits { connections: 1, ..small() });
    let mut first = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(exchange(&mut first, &request("GET /v1/a", &[], b"")).await.unwrap().status, 200);
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(&request("GET /v1/b", &[], b"")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(200), second.readable()).await.is_err());
    drop(first);
    assert_eq!(receive(&mut second).await.unwrap().data()["path"], "b");
}
