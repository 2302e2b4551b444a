//! Request lines, headers, and where one request ends and the next begins.

use crate::target::{SECRET, Target};
use crate::wire::request;

/// What is no HTTP gets a 4xx or nothing, and the connection ends.
pub fn malformed(target: &Target) {
    for bytes in [
        &b"GET /v1/a HTTP/1.1\r\nHost: h\r\nBad Header: 1\r\n\r\n"[..],
        b"GET /v1/a b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/a HTTP/9.9\r\nHost: h\r\n\r\n",
        b"GET /v1/a HTTP/1.1\r\n folded: 1\r\n\r\n",
        b"GET /v1/a HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"GET /v1/a\0 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /v1/\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1e3\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"POST /v1/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n",
    ] {
        let mut wire = target.connect();
        let status = wire.ask(bytes).map_or(400, |answer| answer.status);
        assert!((400..500).contains(&status), "{status}: {}", String::from_utf8_lossy(bytes));
        wire.ends();
    }
}

/// What is rare but right works.
pub fn unusual(target: &Target) {
    let health = "/v1/sys/health";
    let mut wire = target.connect();
    // Several at once are answered in order.
    let reads: Vec<u8> = (0..20).flat_map(|_| request(&format!("GET {health}"), &[], b"")).collect();
    assert!(wire.send(&reads));
    for _ in 0..20 {
        assert_eq!(wire.answer().unwrap().status, 200);
    }
    // HEAD has the headers only.
    assert!(wire.send(&request(&format!("HEAD {health}"), &[], b"")));
    let head = wire.answer_to("HEAD").unwrap();
    assert!(head.status == 200 && head.header("content-length").is_none_or(|length| length != "0"), "{head:?}");
    // A target with scheme and host.
    assert_eq!(wire.ask(&request(&format!("GET https://h{health}"), &[], b"")).unwrap().status, 200);
    // Who waits for a sign gets it.
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    let body = br#"{"data":{"value":"1"}}"#;
    let length = format!("Content-Length: {}", body.len());
    let write = request("POST /v1/secret/data/waited", &[&token, &length, "Expect: 100-continue"], b"");
    assert_eq!(wire.ask(&write).unwrap().status, 100);
    assert_eq!(wire.ask(body).unwrap().status, 200);
    let chunked = [
        request("POST /v1/secret/data/chunked", &[&token, "Transfer-Encoding: chunked"], b""),
        b"5;name=value\r\n{\"dat\r\nf\r\na\":{\"value\":\"1\"\r\n2\r\n}}\r\n0\r\nTrailer: 1\r\n\r\n".to_vec(),
    ];
    assert_eq!(wire.ask(&chunked.concat()).unwrap().status, 200);
    // Before 1.1 the connection ends with the answer, unless asked otherwise.
    let mut old = target.connect();
    assert_eq!(old.ask(format!("GET {health} HTTP/1.0\r\n\r\n").as_bytes()).unwrap().status, 200);
    old.ends();
    let mut kept = target.connect();
    for _ in 0..2 {
        let ask = format!("GET {health} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(kept.ask(ask.as_bytes()).unwrap().status, 200);
    }
}

/// Where two lengths contradict each other, nothing after the first request is taken for another.
pub fn smuggled(target: &Target) {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    for headers in [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5, 6", "X-A: b"],
        ["Transfer-Encoding: chunked, identity", "X-A: b"],
        ["Transfer-Encoding: gzip", "Content-Length: 5"],
        ["Transfer-Encoding : chunked", "Content-Length: 5"],
        ["Transfer-Encoding: xchunked", "Content-Length: 5"],
    ] {
        let first = request("POST /v1/sys/tools/hash", &headers, b"");
        let second = request("POST /v1/secret/data/smuggled", &[&token], br#"{"data":{}}"#);
        let mut wire = target.connect();
        wire.send(&[first, b"0\r\n\r\n".to_vec(), second].concat());
        while let Some(answer) = wire.answer() {
            assert!((400..500).contains(&answer.status), "{headers:?}: {answer:?}");
        }
    }
    assert_eq!(target.client().get("secret/data/smuggled").status, 404, "a smuggled request was carried out");
}

/// Only the methods of the API do anything.
pub fn methods(target: &Target) {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    for (line, statuses) in [
        ("OPTIONS /v1/sys/health", &[405][..]),
        ("OPTIONS *", &[404, 405]),
        ("TRACE /v1/sys/health", &[405]),
        ("CONNECT h:443", &[404, 405]),
        ("BREW /v1/sys/health", &[405]),
        ("get /v1/sys/health", &[405]),
        ("GET v1/sys/health", &[400]),
    ] {
        let mut wire = target.connect();
        let answer = wire.ask(&request(line, &[&token], b"")).unwrap();
        assert!(statuses.contains(&answer.status), "{line}: {answer:?}");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!body.contains(&target.server.root_token) && !answer.head.contains("hvs."), "{line}: {body}");
    }
}

/// No path reaches what another spelling of it would not.
pub fn paths(target: &Target) {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    let long = "a".repeat(9000);
    let many = "a/".repeat(3000);
    for path in [
        "../sys/health",
        "secret/data/../../sys/mounts",
        "secret/data/%2e%2e/there",
        "secret/data/%2E./there",
        "secret/data/..%2fthere",
        "secret/data/%252e%252e/there",
        "secret//data/there",
        "/secret/data/there",
        "secret/data%2F%2Fthere",
        "secret/data/there%00",
        "secret/data/there%00/../other",
        "secret/data/%ff%fe",
        "secret/data/%c0%ae%c0%ae/there",
        "secret/data/%",
        "secret/data/%zz",
        "secret/data/there%0d%0aX-Vault-Token:%20x",
        "secret/data/./there",
        "secret/data/there/..",
        "secret/data/there;x=/../y",
        "secret\\data\\there",
        "SECRET/DATA/THERE",
        &format!("secret/data/{long}"),
        &format!("secret/data/{many}x"),
        "sys/policies/acl/%2e%2e%2froot",
        "auth/token/lookup/..%2f..%2fsys%2fmounts",
    ] {
        for method in ["GET", "LIST", "DELETE", "POST"] {
            let mut wire = target.connect();
            let body: &[u8] = if method == "POST" { b"{\"data\":{}}" } else { b"" };
            let answer = wire.ask(&request(&format!("{method} /v1/{path}"), &[&token], body)).unwrap();
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            // A name that only looks odd is a name like any other; a trick is none.
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
            assert!(!body.contains(SECRET), "{method} {path} reads what is at secret/data/there");
        }
    }
    assert_eq!(target.client().get("secret/data/there").status, 200, "a trick has deleted it");
}

/// Lines and headers without end are a 431, or the end of the connection, long before they take memory.
pub fn huge(target: &Target) {
    let header = format!("X-Vault-Token: {}", "a".repeat(70 << 10));
    let line = format!("GET /v1/{}", "a".repeat(70 << 10));
    let many: Vec<String> = (0..5000).map(|n| format!("X-{n}: {n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for bytes in [
        request("GET /v1/sys/health", &[&header], b""),
        request(&line, &[], b""),
        request("GET /v1/sys/health", &many, b""),
        [b"GET /v1/sys/health HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 8 << 20]].concat(),
    ] {
        let mut wire = target.connect();
        let answer = wire.ask(&bytes);
        assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 414 | 431)), "{answer:?}");
        wire.ends();
    }
}
