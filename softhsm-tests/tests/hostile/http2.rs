//! What can be done to a server with HTTP/2 alone.

use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, field, frame, head, next, open, setting, wait_for, works,
};
use crate::target::Target;

const WHOLE: u8 = END_HEADERS | END_STREAM;

/// Frames that break a rule end the stream or the connection.
pub fn malformed(target: &Target) {
    let health = head("GET", "/v1/sys/health", "");
    for (what, bytes) in [
        ("a frame that is too long", frame(DATA, 0, 1, &vec![0; 1 << 20])),
        ("data on a stream that is not open", frame(DATA, 0, 1, b"x")),
        ("a head on stream 0", frame(HEADERS, WHOLE, 0, &health)),
        ("a head on an even stream", frame(HEADERS, WHOLE, 2, &health)),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, b"12345")),
        ("settings on a stream", frame(SETTINGS, 0, 1, b"")),
        ("a ping of a wrong length", frame(PING, 0, 0, b"1234")),
        ("a window that grows by nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window that grows too large", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]).repeat(2)),
        ("an initial window that is too large", frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, u32::MAX))),
        (
            "a head that is cut off by another frame",
            [frame(HEADERS, 0, 1, &health), frame(PING, 0, 0, &[0; 8])].concat(),
        ),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &health)),
        ("an index out of the table", frame(HEADERS, WHOLE, 1, &[0xff, 0xff, 0xff, 0x7f])),
        ("an integer without end", frame(HEADERS, WHOLE, 1, &[0xff; 200])),
        ("a bad Huffman code", frame(HEADERS, WHOLE, 1, &[0, 0x83, 0xff, 0xff, 0xff])),
        ("no HTTP/2 at all", b"GET / HTTP/1.1\r\n\r\n".repeat(10)),
    ] {
        let mut wire = open(target, b"");
        wire.send(&bytes);
        let told = loop {
            match next(&mut wire) {
                None => break true,
                Some(frame) if matches!(frame.kind, GOAWAY | RST_STREAM) => break true,
                Some(frame) if frame.kind == HEADERS => break false,
                Some(_) => {}
            }
        };
        assert!(told, "{what} was answered");
    }
    works(target);
}

/// Heads that break the rules of HTTP, or are too large.
pub fn heads(target: &Target) {
    let health = head("GET", "/v1/sys/health", "");
    let many: Vec<u8> = (0..3000).flat_map(|n| field(&format!("x-{n}"), b"0123456789")).collect();
    for (what, fields) in [
        ("names in capitals", field("X-Upper", b"1")),
        ("a connection header", field("connection", b"close")),
        ("an encoding of HTTP/1.1", field("transfer-encoding", b"chunked")),
        ("a second path", field(":path", b"/v1/sys/mounts")),
        ("a line break in a value", field("x-a", b"1\r\nx-vault-token: 2")),
        ("a NUL in a value", field("x-a", b"1\x002")),
        ("many fields", many),
        ("a long field", field("x-long", &vec![b'x'; 100_000])),
    ] {
        let mut wire = open(target, b"");
        let block = [health.clone(), fields].concat();
        let mut parts = block.chunks(16_000);
        let first = parts.next().unwrap();
        let rest: Vec<&[u8]> = parts.collect();
        let flags = if rest.is_empty() { WHOLE } else { END_STREAM };
        wire.send(&frame(HEADERS, flags, 1, first));
        for (number, part) in rest.iter().enumerate() {
            let last = number + 1 == rest.len();
            wire.send(&frame(CONTINUATION, if last { END_HEADERS } else { 0 }, 1, part));
        }
        let refused = loop {
            match next(&mut wire) {
                None => break true,
                Some(frame) if matches!(frame.kind, GOAWAY | RST_STREAM) => break true,
                // 0x8c and 0x8d are 400 and 404 in the static table; 431 is spelt out.
                Some(frame) if frame.kind == HEADERS => break frame.payload.first() != Some(&0x88),
                Some(_) => {}
            }
        };
        assert!(refused, "{what}");
    }
    // A head without end, in one continuation after the other (CVE-2024-27316 and others).
    let mut wire = open(target, b"");
    wire.send(&frame(HEADERS, 0, 1, &health));
    let part = frame(CONTINUATION, 0, 1, &field("x-flood", &[b'x'; 10_000]));
    let sent = (0..5000).take_while(|_| wire.send(&part)).count();
    assert!(sent < 5000, "50 MB of one head were taken");
    wire.ends();
    works(target);
}

/// Requests that are taken back as soon as they are made (CVE-2023-44487): the connection ends, and not for lack of patience.
pub fn resets(target: &Target) {
    let token = &target.server.root_token;
    let read = head("GET", "/v1/secret/data/there", token);
    let write = head("POST", "/v1/secret/data/reset", token);
    for (block, flags) in [(&read, WHOLE), (&write, END_HEADERS)] {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    let mut wire = open(target, b"");
                    let ended = (0..20_000u32).find(|number| {
                        let stream = number * 2 + 1;
                        let pair = [frame(HEADERS, flags, stream, block), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])];
                        !wire.send(&pair.concat())
                    });
                    assert!(ended.is_some(), "20,000 requests were made and taken back");
                });
            }
        });
    }
    works(target);
}

/// Frames that cost little to send and something to answer.
pub fn floods(target: &Target) {
    let health = head("GET", "/v1/sys/health", "");
    let open_write = frame(HEADERS, END_HEADERS, 1, &head("POST", "/v1/secret/data/flood", &target.server.root_token));
    for (what, first, flood) in [
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("settings", Vec::new(), frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, 65_535))),
        ("acknowledgements", Vec::new(), frame(SETTINGS, ACK, 0, b"")),
        ("data without content", open_write.clone(), frame(DATA, 0, 1, b"")),
        ("windows", open_write, frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("frames that nobody knows", Vec::new(), frame(0xfa, 0, 0, &[0; 100])),
        ("priorities", Vec::new(), frame(2, 0, 3, &[0, 0, 0, 1, 1])),
        ("heads that are too early", Vec::new(), frame(HEADERS, WHOLE, 1, &health)),
    ] {
        let mut wire = open(target, b"");
        wire.send(&first);
        let many = flood.repeat(1000);
        // As long as it is taken; what matters is that it ends, and that others are served meanwhile.
        let times = if softhsm_tests::long() { 300 } else { 20 };
        let sent = (0..times).take_while(|_| wire.send(&many)).count();
        eprintln!("{what}: the connection took {sent} times 1000 frames");
        works(target);
    }
}

/// Answers that nobody lets through do not stay for ever.
pub fn stalls(target: &Target) {
    let mut wire = open(target, &setting(INITIAL_WINDOW_SIZE, 0));
    let ask = head("GET", "/v1/sys/internal/specs/openapi", &target.server.root_token);
    for number in 0..100u32 {
        wire.send(&frame(HEADERS, WHOLE, number * 2 + 1, &ask));
    }
    assert!(wait_for(&mut wire, HEADERS).is_some());
    wire.ends();
    // An upload that stops in the middle.
    let mut wire = open(target, b"");
    wire.send(&frame(HEADERS, END_HEADERS, 1, &head("POST", "/v1/secret/data/stall", &target.server.root_token)));
    wire.send(&frame(DATA, 0, 1, b"{"));
    wire.ends();
    works(target);
}
