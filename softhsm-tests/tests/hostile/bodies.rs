//! Bodies.

use crate::target::{SECRET, Target};
use crate::wire::{Answer, request};

fn post(target: &Target, kind: &str, body: &[u8]) -> Answer {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    let kind = format!("Content-Type: {kind}");
    let mut wire = target.connect();
    wire.ask(&request("POST /v1/secret/data/body", &[&token, &kind], body)).expect("an answer")
}

/// What cannot be read is a 400 that shows nothing of it.
pub fn malformed(target: &Target) {
    let deep = [b"{\"data\":".to_vec(), b"[".repeat(200_000)].concat();
    let deep_objects = b"{\"data\":".repeat(100_000);
    let quoted = format!("{{\"data\":{{\"v\":\"{SECRET}\"}} \"{SECRET}\"}}");
    for body in [
        &b"{"[..],
        b"{\"data\"",
        b"{\"data\":}",
        b"{\"data\":{}}}",
        b"{\"data\":{}} x",
        b"[{\"data\":{}}]",
        b"\"data\"",
        b"7",
        b"true",
        b"nul",
        b"{'data':{}}",
        b"{\"data\":{\"v\":01}}",
        b"{\"data\":{\"v\":+1}}",
        b"{\"data\":{\"v\":NaN}}",
        b"{\"data\":{\"v\":\"\xff\xfe\"}}",
        b"{\"data\":{\"v\":\"\\ud800\"}}",
        b"{\"data\":{\"v\":\"a\0b\"}}",
        b"\xef\xbb\xbf{\"data\":{}}",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        b"\0",
        &deep,
        &deep_objects,
        quoted.as_bytes(),
    ] {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", "\"\"", ""] {
            let answer = post(target, kind, body);
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert_eq!(answer.status, 400, "{kind} {shown}");
            assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET), "the answer shows the body: {shown}");
        }
    }
    // Of fields with one name the last counts; it is the one that is judged, recorded and stored.
    let twice = br#"{"data":{"v":"first"},"data":{"v":"second"}}"#;
    assert_eq!(post(target, "application/json", twice).status, 200);
    assert_eq!(target.client().get("secret/data/body").ok()["data"]["data"]["v"], "second");
    for form in ["data=%zz", "data=%ff", "&&&=", "data=1&data=2", "=", "data[v]=1"] {
        let status = post(target, "application/x-www-form-urlencoded", form.as_bytes()).status;
        assert!((400..500).contains(&status), "{form}: {status}");
    }
}

/// More than 32 MiB is a 413, announced or not; many large ones at once are refused before they fill the memory.
pub fn huge(target: &Target) {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    let mut wire = target.connect();
    let announced = request("POST /v1/secret/data/huge", &[&token, "Content-Length: 99999999999"], b"");
    let mut expecting = request("POST /v1/secret/data/huge", &[&token, "Content-Length: 99999999999"], b"");
    expecting.splice(expecting.len() - 2.., *b"Expect: 100-continue\r\n\r\n");
    assert_eq!(wire.ask(&expecting).unwrap().status, 413);
    wire.ends();

    // Without the wait it is read for a while, so that an honest client gets to see the answer.
    let mut wire = target.connect();
    wire.send(&announced);
    let part = vec![b'x'; 1 << 20];
    let sent = (0..200).take_while(|_| wire.send(&part)).count();
    assert!(sent < 200, "it goes on reading");
    assert!(wire.answer().is_none_or(|answer| answer.status == 413));

    let mut wire = target.connect();
    wire.send(&request("POST /v1/secret/data/huge", &[&token, "Transfer-Encoding: chunked"], b""));
    let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), &part, b"\r\n"].concat();
    let sent = (0..200).take_while(|_| wire.send(&chunk)).count();
    assert!(sent < 200, "it goes on reading");

    // As large as allowed, sixteen at once, of the kind that takes most memory: each is carried out or refused.
    let values = [b"{\"data\":{\"v\":[".to_vec(), b"{},".repeat(2 << 20), b"1]}}".to_vec()].concat();
    let text = [b"{\"data\":{\"v\":\"".to_vec(), vec![b'x'; 20 << 20], b"\"}}".to_vec()].concat();
    for body in [values, text] {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let answer = target.connect().ask(&request("POST /v1/secret/data/huge", &[&token], &body));
                    // 503 with Retry-After is what a full memory budget answers.
                    let status = answer.map_or(400, |answer| answer.status);
                    assert!(matches!(status, 200 | 400 | 413 | 503), "{status}");
                });
            }
        });
    }
}
