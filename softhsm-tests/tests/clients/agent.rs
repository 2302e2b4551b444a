//! `bao agent` and `bao proxy` with an AppRole, unchanged, before this server.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use softhsm_tests::{Client, Server, eventually, free_address};
use tempfile::TempDir;

/// A running agent or proxy, and its folder.
struct Running {
    child: Child,
    folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log\n{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
    }
}

impl Running {
    /// Starts `bao agent` or `bao proxy` with a role's ids and further configuration.
    fn start(bao: &Path, kind: &str, server: &Server, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let client = server.client();
        let role = client.get("auth/approle/role/app/role-id").ok();
        let secret = client.post("auth/approle/role/app/secret-id", json!({})).ok();
        std::fs::write(path("role"), role["data"]["role_id"].as_str().unwrap()).unwrap();
        std::fs::write(path("secret"), secret["data"]["secret_id"].as_str().unwrap()).unwrap();
        let config = format!(
            "vault {{ address = \"{}\" }}\n\
             auto_auth {{\n  method \"approle\" {{ config = {{ role_id_file_path = \"{}\" secret_id_file_path = \"{}\" }} }}\n\
               sink \"file\" {{ config = {{ path = \"{}\" }} }}\n}}\n{}",
            server.address(),
            path("role"),
            path("secret"),
            path("token"),
            more.replace("FOLDER", &folder.path().display().to_string()),
        );
        std::fs::write(path("config.hcl"), config).unwrap();
        let log = std::fs::File::create(path("log")).unwrap();
        let child = Command::new(bao)
            .args([kind, &format!("-config={}", path("config.hcl"))])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok().filter(|text| !text.is_empty())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A role that may read `team/`, and a secret there.
pub fn prepare(server: &Server) {
    let client = server.client();
    server.mount("team", false);
    client.post("sys/policies/acl/team", json!({"policy": "path \"team/*\" { capabilities = [\"read\"] }"})).ok();
    client.post("sys/auth/approle", json!({"type": "approle"})).ok();
    client.post("auth/approle/role/app", json!({"token_policies": "team", "token_ttl": "1h"})).ok();
    assert!(client.put("team/data/db", "hunter2"));
}

/// An agent logs in, keeps the token in its sink, and renders a template.
pub fn agent_logs_in_and_renders(bao: &Path, server: &Server) {
    let template = "template {\n  contents = \"{{ with secret \\\"team/data/db\\\" }}{{ .Data.data.value }}{{ end }}\"\n  \
                    destination = \"FOLDER/rendered\"\n}\n";
    let agent = Running::start(bao, "agent", server, template);
    assert_eq!(eventually("the template is rendered", || agent.file("rendered")), "hunter2");
    let token = eventually("the token is in the sink", || agent.file("token"));
    let own = server.client().with_token(token).get("auth/token/lookup-self").ok();
    assert_eq!(own["data"]["policies"], json!(["default", "team"]));
}

/// A proxy lends its own token to who asks it, and passes refusals on.
pub fn proxy_lends_its_token(bao: &Path, server: &Server) {
    let address = free_address();
    let listener = format!(
        "api_proxy {{ use_auto_auth_token = true }}\nlistener \"tcp\" {{ address = \"{address}\" tls_disable = true }}\n"
    );
    let _proxy = Running::start(bao, "proxy", server, &listener);
    let client = Client::new(format!("http://{address}"), "");
    let read = || client.try_call("GET", "team/data/db", None).filter(|response| response.status == 200);
    assert_eq!(eventually("the proxy answers", read).json["data"]["data"]["value"], "hunter2");
    assert!(client.get("sys/mounts").is(403)["errors"].to_string().contains("permission denied"));
    assert_eq!(client.get("auth/token/lookup-self").ok()["data"]["path"], "auth/approle/login");
}
