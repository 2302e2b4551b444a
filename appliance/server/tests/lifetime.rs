//! How connections and the server end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{LONG, Running, echo, ends, exchange, receive, request, start, start_with};
use framework::Error;
use pipeline::Request;
use server::{Corridor, Limits, Reply};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Holds answers back until told.
struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Corridor for Gate {
    fn submit(&self, request: Request, reply: Reply) -> Result<(), Error> {
        let open = Arc::clone(&self.open);
        self.arrived.add_permits(1);
        std::thread::spawn(move || {
            let _ = open.lock().unwrap().recv();
            reply(echo(request));
        });
        Ok(())
    }
}

/// A server whose answers wait.
struct Held {
    server: Running,
    arrived: Arc<Semaphore>,
    open: mpsc::Sender<()>,
}

impl Held {
    fn start(limits: Limits) -> Self {
        let (open, opened) = mpsc::channel();
        let arrived = Arc::new(Semaphore::new(0));
        let gate = Gate { arrived: Arc::clone(&arrived), open: Arc::new(Mutex::new(opened)) };
        Self { server: start_with(gate, limits, None), arrived, open }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address).await.unwrap()
    }

    /// Sends a request, and returns when it is at work.
    async fn begin(&self, stream: &mut TcpStream) {
        stream.write_all(&request("GET /v1/a", &["X-Vault-Token: hvs.secret"], b"")).await.unwrap();
        self.arrived.acquire().await.unwrap().forget();
    }

    /// Lets one request end.
    async fn finish(&self, stream: &mut TcpStream) {
        self.open.send(()).unwrap();
        assert_eq!(receive(stream).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn connections_are_kept_and_pipelined() {
    let server = start(Limits::default());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        let response = exchange(&mut stream, &request("POST /v1/a", &[], b"{\"a\":1}")).await.unwrap();
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    let both = [request("GET /v1/one", &[], b""), request("GET /v1/two", &[], b"")].concat();
    stream.write_all(&both).await.unwrap();
    for path in ["one", "two"] {
        assert_eq!(receive(&mut stream).await.unwrap().data()["path"], path);
    }
}

#[tokio::test]
async fn requests_that_carry_shares_end_their_connection() {
    let server = start(Limits::default());
    for (line, closes) in [
        ("PUT /v1/sys/seal", true),
        ("PUT /v1/sys/unseal", true),
        ("POST /v1/sys/init", true),
        ("PUT /v1/sys/rekey/update", true),
        ("DELETE /v1/sys/generate-root/attempt", true),
        ("POST /v1/sys/rotate/root/update", true),
        ("GET /v1/sys/init", false),
        ("POST /v1/sys/rotate", false),
        ("POST /v1/auth/userpass/login/u", false),
        ("POST /v1/secret/data/sys/seal", false),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let response = exchange(&mut stream, &request(line, &[], b"")).await.unwrap();
        assert_eq!(response.header("connection"), closes.then_some("close"), "{line}");
        if closes {
            assert!(ends(&mut stream, LONG).await);
        } else {
            assert_eq!(exchange(&mut stream, &request("GET /v1/a", &[], b"")).await.unwrap().status, 200, "{line}");
        }
    }
}

#[tokio::test]
async fn all_connections_can_be_closed() {
    let held = Held::start(Limits::default());
    let (mut fresh, mut half, mut idle, mut busy) =
        (held.connect().await, held.connect().await, held.connect().await, held.connect().await);
    let mut body = held.connect().await;
    body.write_all(b"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\n{\"a\":\"secret").await.unwrap();
    half.write_all(b"GET /v1/a HTTP/1.1\r\nX-Vault-Token: hvs.secret").await.unwrap();
    held.begin(&mut idle).await;
    held.finish(&mut idle).await;
    held.begin(&mut busy).await;

    held.server.handle.close_connections();
    for stream in [&mut idle, &mut half, &mut fresh, &mut body] {
        assert!(ends(stream, LONG).await);
    }
    held.finish(&mut busy).await;
    assert!(ends(&mut busy, LONG).await);
    let mut new = held.connect().await;
    held.begin(&mut new).await;
    held.finish(&mut new).await;
}

#[tokio::test]
async fn stopping_lets_requests_at_work_end() {
    let mut held = Held::start(Limits::default());
    let (mut busy, mut idle) = (held.connect().await, held.connect().await);
    held.begin(&mut busy).await;
    held.server.stop.take().unwrap().send(()).unwrap();
    assert!(ends(&mut idle, LONG).await);
    assert!(!held.server.served.is_finished());
    held.finish(&mut busy).await;
    tokio::time::timeout(LONG, held.server.served).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(held.server.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let mut held = Held::start(Limits { stop: Duration::from_millis(100), ..Limits::default() });
    let mut busy = held.connect().await;
    held.begin(&mut busy).await;
    held.server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(LONG, held.server.served).await.unwrap().unwrap().unwrap();
    assert!(ends(&mut busy, LONG).await);
}

#[tokio::test]
async fn the_work_of_a_client_that_left_is_done() {
    let (sender, done) = mpsc::channel();
    let sender = Mutex::new(sender);
    let stub = common::Stub(Box::new(move |request| {
        let _ = sender.lock().unwrap().send(());
        echo(request)
    }));
    let server = start_with(stub, Limits::default(), None);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request("POST /v1/a", &[], b"{}")).await.unwrap();
    drop(stream);
    let done = tokio::task::spawn_blocking(move || done.recv_timeout(LONG));
    done.await.unwrap().unwrap();
}
