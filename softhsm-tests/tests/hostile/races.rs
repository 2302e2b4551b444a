//! Thirty clients for one use.

use std::sync::Barrier;

use serde_json::json;

use crate::target::Target;
use crate::wire::request;

pub fn one_use(target: &Target) {
    for round in 0..5 {
        let body = json!({"policies": ["root"], "num_uses": 1});
        let made = target.client().post("auth/token/create", body).ok();
        let token = format!("X-Vault-Token: {}", made["auth"]["client_token"].as_str().unwrap());
        let start = Barrier::new(30);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..30)
                .map(|_| {
                    scope.spawn(|| {
                        let mut wire = target.connect();
                        // The handshake comes first, so that the requests meet.
                        assert_eq!(wire.ask(&request("GET /v1/sys/health", &[], b"")).unwrap().status, 200);
                        start.wait();
                        wire.ask(&request("GET /v1/auth/token/lookup-self", &[&token], b"")).unwrap().status
                    })
                })
                .collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "round {round}: {statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 403)), "{statuses:?}");
    }
}
