//! Bodies of any size, both ways: they arrive whole or visibly broken, and a client that stalls is given up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a helper that fails fails the test

mod common;

use std::io::{self, Read};
use std::time::Duration;

use common::{LONG, request, start_with};
use framework::{Error, Json, Map, Operation, Output, Stream};
use pipeline::{Answer, Request, Shape};
use server::{Corridor, Limits, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LARGE: usize = 20 << 20;

/// Counts what arrives at `streamed/up`, refuses it unread at `streamed/refused`, sends [`LARGE`] bytes from
/// `streamed/down`, and half of that, and then an error, from `streamed/broken`.
struct Bodies;

impl Corridor for Bodies {
    fn submit(&self, request: Request, reply: Reply) -> Result<(), Error> {
        std::thread::spawn(move || {
            let result = match request.path.as_str() {
                "streamed/up" => count(request.upload),
                "streamed/refused" => Err(Error::Denied),
                path => {
                    let broken = path == "streamed/broken";
                    let bytes = io::repeat(b'x').take(if broken { LARGE as u64 / 2 } else { LARGE as u64 });
                    let end: Box<dyn Read + Send> = if broken { Box::new(Fails) } else { Box::new(io::empty()) };
                    let stream = Stream { media_type: "application/gzip", bytes: Box::new(bytes.chain(end)) };
                    Ok(Output { stream: Some(stream), ..Output::default() })
                }
            };
            reply(Answer { request_id: String::new(), mount_type: String::new(), shape: Shape::Bare, result });
        });
        Ok(())
    }

    fn is_streamed(&self, _: Operation, path: &str) -> bool {
        path.starts_with("streamed/")
    }
}

struct Fails;

impl Read for Fails {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

fn count(upload: Option<Box<dyn Read + Send>>) -> Result<Output, Error> {
    let arrived = io::copy(&mut upload.unwrap(), &mut io::sink());
    let arrived = arrived.map_err(|error| Error::invalid(error.to_string()))?;
    Ok(Output { data: Some(Map::from_iter([("arrived".to_owned(), Json::from(arrived))])), ..Output::default() })
}

fn limits() -> Limits {
    let short = Duration::from_millis(300);
    Limits { body: 1 << 20, upload: short, download: short, request: Duration::from_millis(1), ..Limits::default() }
}

/// All that the server sends, to the connection's end.
async fn send(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_beyond_the_limit_goes_through_and_an_answer_beyond_the_time() {
    let server = start_with(Bodies, limits(), None);
    let mut up = TcpStream::connect(server.address).await.unwrap();
    let answer = send(&mut up, &request("POST /v1/streamed/up", &[], &vec![b'x'; LARGE])).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("{{\"arrived\":{LARGE}}}")), "{answer}");

    let mut down = TcpStream::connect(server.address).await.unwrap();
    let answer = send(&mut down, &request("GET /v1/streamed/down", &[], b"")).await;
    assert!(answer.contains("content-type: application/gzip\r\ncontent-disposition: attachment\r\n"));
    assert!(answer.ends_with("\r\n0\r\n\r\n") && answer.matches('x').count() >= LARGE);
}

#[tokio::test]
async fn what_breaks_is_seen_to_be_broken() {
    let server = start_with(Bodies, limits(), None);
    let mut down = TcpStream::connect(server.address).await.unwrap();
    let answer = send(&mut down, &request("GET /v1/streamed/broken", &[], b"")).await;
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.ends_with("\r\n0\r\n\r\n"));

    let mut stalls = TcpStream::connect(server.address).await.unwrap();
    let head = request("POST /v1/streamed/up", &["Content-Length: 100"], b"");
    let answer = send(&mut stalls, &[head.as_slice(), b"not a hundred"].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive in time"), "{answer}");

    let mut refused = TcpStream::connect(server.address).await.unwrap();
    let answer = send(&mut refused, &request("POST /v1/streamed/refused", &[], &vec![b'x'; 500 << 10])).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "an honest client gets to see the answer: {answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    let server = start_with(Bodies, Limits { idle: Duration::from_millis(300), ..limits() }, None);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&request("GET /v1/streamed/down", &[], b"")).await.unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).await.unwrap();
    // The server's own count of connections is not seen here; that it ends with nobody to wait for is.
    let served = server.served;
    drop(server.stop);
    let ended = tokio::time::timeout(LONG, served).await;
    assert!(ended.is_ok(), "the server waits for a client that does not read");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n") && rest.len() < LARGE);
}
