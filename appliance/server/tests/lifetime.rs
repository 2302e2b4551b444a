//! How connections and the server end.

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

/// A server with one request at work on a connection, and what lets it go on.
async fn at_work(limits: Limits) -> (Running, TcpStream, mpsc::Sender<()>) {
    let (open, opened) = mpsc::channel();
    let arrived = Arc::new(Semaphore::new(0));
    let gate = Gate { arrived: Arc::clone(&arrived), open: Arc::new(Mutex::new(opened)) };
    let server = start_with(gate, limits, None);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request("GET /v1/a", &[], b"")).await.unwrap();
    arrived.acquire().await.unwrap().forget();
    (server, stream, open)
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
    let (server, mut busy, open) = at_work(Limits::default()).await;
    let mut fresh = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /v1/a HTTP/1.1\r\nX-Vault-Token: hvs.secret").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    open.send(()).unwrap();
    assert_eq!(receive(&mut busy).await.unwrap().status, 200);
    let (server, mut busy, open) = {
        idle.write_all(&request("GET /v1/idle", &[], b"")).await.unwrap();
        open.send(()).unwrap();
        assert_eq!(receive(&mut idle).await.unwrap().status, 200);
        busy.write_all(&request("GET /v1/busy", &[], b"")).await.unwrap();
        (server, busy, open)
    };
    server.handle.close_connections();
    for stream in [&mut idle, &mut half, &mut fresh] {
        assert!(ends(stream, LONG).await);
    }
    open.send(()).unwrap();
    assert_eq!(receive(&mut busy).await.unwrap().data()["path"], "busy", "a request at work is answered");
    assert!(ends(&mut busy, LONG).await);
    open.send(()).unwrap();
    assert_eq!(common::send(server.address, "GET /v1/new", &[], b"").await.status, 200, "new connections are taken");
}

#[tokio::test]
async fn stopping_lets_requests_at_work_end() {
    let (mut server, mut busy, open) = at_work(Limits::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    assert!(ends(&mut idle, LONG).await);
    assert!(!server.served.is_finished());
    open.send(()).unwrap();
    assert_eq!(receive(&mut busy).await.unwrap().status, 200);
    tokio::time::timeout(LONG, server.served).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let limits = Limits { stop: Duration::from_millis(100), ..Limits::default() };
    let (mut server, mut busy, _open) = at_work(limits).await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(LONG, server.served).await.unwrap().unwrap().unwrap();
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
