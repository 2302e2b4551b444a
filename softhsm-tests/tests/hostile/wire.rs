//! A client that sends any bytes over TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Longer than any answer or end that a passing test waits for.
pub const LONG: Duration = Duration::from_secs(60);

pub struct Wire(StreamOwned<ClientConnection, TcpStream>);

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Wire {
    pub fn open(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        let client = ClientConnection::new(config, address.ip().into()).unwrap();
        Self(StreamOwned::new(client, stream))
    }

    /// False if the server has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).and_then(|()| self.0.flush()).is_ok()
    }

    /// One more byte; `None` at the end. Panics where the server is silent.
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.read(&mut byte).then_some(byte[0])
    }

    /// Fills `buffer`; false if the connection ends before.
    pub fn read(&mut self, buffer: &mut [u8]) -> bool {
        match self.0.read_exact(buffer) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                panic!("the server neither answers nor closes the connection")
            }
            Err(_) => false,
        }
    }

    /// The next answer; `None` if the connection ends in place of one.
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    /// An answer to `HEAD` has no body, whatever its length says.
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte()?);
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().trim().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if method != "HEAD" && status >= 200 {
            let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
            answer.body.resize(length, 0);
            if !self.read(&mut answer.body) {
                return None;
            }
        }
        Some(answer)
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &[u8]) -> Option<Answer> {
        // It may be refused before it is sent whole.
        self.send(request);
        self.answer()
    }

    /// Waits for the end of the connection.
    #[track_caller]
    pub fn ends(&mut self) {
        let mut rest = [0; 4096];
        loop {
            match self.0.read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                    panic!("the connection stays open")
                }
                Err(_) => return,
            }
        }
    }
}

/// A request with these further headers and this body.
pub fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nHost: h\r\n").into_bytes();
    for header in headers {
        text.extend_from_slice(format!("{header}\r\n").as_bytes());
    }
    if !body.is_empty() {
        text.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body);
    text
}
