//! The server under attack.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use softhsm_tests::{Client, Seal, Server, Setup, free_address};
use tempfile::TempDir;

use crate::wire::Wire;

/// What the server's resident memory may grow to, in KiB: under the 300 MB that are promised.
const MOST_MEMORY: u64 = 285 << 10;

/// Stands in every token, body and header that must not be told.
pub const SECRET: &str = "Hush-7f3a9c-Hush";

/// A server with a TLS listener, and one without for the suite itself.
pub struct Target {
    pub server: Server,
    pub tls: std::net::SocketAddr,
    trust: RootCertStore,
    pid: u32,
    _certificates: TempDir,
}

impl Target {
    pub fn start() -> Self {
        let certificates = tempfile::tempdir().unwrap();
        let file = |name: &str| certificates.path().join(name);
        let tls = free_address();
        let certificate = softhsm_tests::certify(certificates.path(), tls.ip(), 2060);
        let mut trust = RootCertStore::empty();
        trust.add(CertificateDer::from(certificate)).unwrap();
        let extra = format!(
            "listener \"tcp\" {{\n  address = \"{tls}\"\n  tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"\n  \
             http_read_timeout = \"2s\"\n  http_read_header_timeout = \"2s\"\n  http_idle_timeout = \"4s\"\n  \
             http_write_timeout = \"3s\"\n}}\nlog_level = \"trace\"\n",
            file("tls.crt").display(),
            file("tls.key").display()
        );
        let server = Server::start(Setup { extra, ..Setup::new(Seal::SoftHsm, "sled") });
        server.mount("secret", true);
        server.client().post("secret/data/there", json!({"data": {"value": SECRET}})).ok();
        let pid = server.pid("server").unwrap();
        Self { server, tls, trust, pid, _certificates: certificates }
    }

    /// A client for preparations, over the listener that nobody attacks.
    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// A TLS connection on which HTTP/1.1 is spoken.
    pub fn connect(&self) -> Wire {
        Wire::open(self.tls, self.trust(b"http/1.1"))
    }

    /// A TLS connection on which HTTP/2 is spoken.
    pub fn connect_h2(&self) -> Wire {
        Wire::open(self.tls, self.trust(b"h2"))
    }

    fn trust(&self, protocol: &[u8]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(self.trust.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config)
    }

    /// It is the same process, it answers on both listeners, and it is small.
    #[track_caller]
    pub fn is_well(&self, after: &str) {
        assert_eq!(self.server.pid("server"), Some(self.pid), "after {after}: another server process");
        let read = self.client().get("secret/data/there").ok();
        assert_eq!(read["data"]["data"]["value"], SECRET, "after {after}");
        let health = self.connect().ask(b"GET /v1/sys/health HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(health.map(|answer| answer.status), Some(200), "after {after}");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        eprintln!("{after}: peak of {} MiB", peak >> 10);
        assert!(peak < MOST_MEMORY, "after {after}: it took {peak} KiB");
    }

    /// Neither the server's log, at its most talkative, nor the audit log has a secret; and no fault of its own was logged.
    pub fn told_nothing(&self) {
        let log = self.server.server_log();
        let logs: Vec<(PathBuf, String)> = [self.server.audit_log()]
            .into_iter()
            .map(|path| (path.clone(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()))
            .chain([(PathBuf::from("the server's log"), log.clone())])
            .collect();
        for (name, text) in logs {
            for secret in [SECRET, self.server.root_token.as_str()] {
                let line = text.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{}: {}", name.display(), line.unwrap_or_default());
            }
        }
        for trouble in ["internal error", "panicked", "incident"] {
            let line = log.lines().find(|line| line.contains(trouble));
            assert!(line.is_none(), "{}", line.unwrap_or_default());
        }
    }
}
