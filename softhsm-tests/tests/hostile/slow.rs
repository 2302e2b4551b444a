//! Clients that take their time.

use crate::target::Target;
use crate::wire::request;

/// The listener waits 2 s for a head, 2 s for a body, 4 s for another request, 3 s for its last answer to be taken.
pub fn everywhere(target: &Target) {
    let token = format!("X-Vault-Token: {}", target.server.root_token);
    std::thread::scope(|scope| {
        scope.spawn(|| target.connect().ends());
        // A head that grows byte by byte for as long as it is let.
        scope.spawn(|| {
            let mut wire = target.connect();
            wire.send(b"GET /v1/sys/health HTTP/1.1\r\n");
            while wire.send(b"X: y\r\n") {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
        // The same after an honest request.
        scope.spawn(|| {
            let mut wire = target.connect();
            assert_eq!(wire.ask(&request("GET /v1/sys/health", &[], b"")).unwrap().status, 200);
            wire.send(b"GET /v1/sys/health HTTP/1.1\r\nX-Vault-Token: hv");
            wire.ends();
        });
        // A body that does not come, and one that comes by drops.
        for chunked in [false, true] {
            let token = &token;
            scope.spawn(move || {
                let length = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 1000" };
                let mut wire = target.connect();
                wire.send(&request("POST /v1/secret/data/slow", &[token, length], b""));
                if chunked {
                    wire.send(b"1\r\n{\r\n");
                }
                assert_eq!(wire.answer().unwrap().status, 408);
                wire.ends();
            });
        }
        // Somebody who asks for much and reads nothing of it.
        scope.spawn(|| {
            let mut wire = target.connect();
            let ask = request("GET /v1/sys/internal/specs/openapi", &[&token], b"");
            for _ in 0..200 {
                if !wire.send(&ask) {
                    break;
                }
            }
            std::thread::sleep(std::time::Duration::from_secs(8));
            wire.ends();
        });
    });
}
