//! HTTP/2 frames by hand (RFC 9113 §4), heads without compression (RFC 7541 §6.2.2).

use crate::target::Target;
use crate::wire::Wire;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const INITIAL_WINDOW_SIZE: u16 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A setting and its value.
pub fn setting(name: u16, value: u32) -> Vec<u8> {
    [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A string of a head, without Huffman coding.
fn string(text: &[u8]) -> Vec<u8> {
    // An integer with a prefix of seven bits (RFC 7541 §5.1).
    let mut bytes = Vec::new();
    if text.len() < 127 {
        bytes.push(u8::try_from(text.len()).unwrap());
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        bytes.push(u8::try_from(rest).unwrap());
    }
    [&bytes, text].concat()
}

/// One line of a head.
pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [vec![0], string(name.as_bytes()), string(value)].concat()
}

/// The head of a request.
pub fn head(method: &str, path: &str, token: &str) -> Vec<u8> {
    [
        field(":method", method.as_bytes()),
        field(":scheme", b"https"),
        field(":authority", b"h"),
        field(":path", path.as_bytes()),
        field("x-vault-token", token.as_bytes()),
    ]
    .concat()
}

/// A connection that has said which protocol it speaks, with these settings.
pub fn open(target: &Target, settings: &[u8]) -> Wire {
    let mut wire = target.connect_h2();
    assert!(wire.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()));
    wire
}

/// The next frame; `None` at the end of the connection.
pub fn next(wire: &mut Wire) -> Option<Frame> {
    let mut head = [0; 9];
    if !wire.read(&mut head) {
        return None;
    }
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    if !wire.read(&mut payload) {
        return None;
    }
    Some(Frame { kind: head[3], payload })
}

/// Frames up to the first of this kind, which is returned; `None` if the connection ends before.
pub fn wait_for(wire: &mut Wire, kind: u8) -> Option<Frame> {
    loop {
        let frame = next(wire)?;
        if frame.kind == kind {
            return Some(frame);
        }
    }
}

/// A request on a connection of its own works.
pub fn works(target: &Target) {
    let mut wire = open(target, b"");
    wire.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", "/v1/sys/health", "")));
    let answer = wait_for(&mut wire, HEADERS).expect("an answer");
    // `:status 200` is the eighth entry of the static table.
    assert_eq!(answer.payload.first(), Some(&0x88), "{answer:?}");
}
