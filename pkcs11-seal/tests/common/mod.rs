//! Each test runs in a process of its own, on a SoftHSM token of its own: SoftHSM reads its configuration from the
//! environment, and one process can hold one PKCS#11 module only.
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hardening::Secret;
use pkcs11_seal::{Config, Hsm, TokenChoice};

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";
/// In the form that AWS CloudHSM wants.
pub(crate) const PIN: &str = "tester:test-pin-1234";
pub(crate) const TOKEN: &str = "holdfast-test";
pub(crate) const KEY: &str = "holdfast-seal";

const CHILD: &str = "HOLDFAST_TEST_CHILD";
const FOLDER: &str = "HOLDFAST_TEST_FOLDER";

/// Runs `body` in a process of its own, beside a fresh token labelled [`TOKEN`]. `name` is that of the test.
pub(crate) fn alone(name: &str, body: impl FnOnce(&Path)) {
    alone_with(name, "", body);
}

/// The same with these settings for the module that plays CloudHSM ([`shim`]).
pub(crate) fn alone_with(name: &str, settings: &str, body: impl FnOnce(&Path)) {
    if env::var(CHILD).as_deref() == Ok(name) {
        return body(&PathBuf::from(env::var_os(FOLDER).unwrap()));
    }
    if !Path::new(MODULE).exists() {
        assert!(env::var_os("HOLDFAST_SKIP_HSM").is_some(), "{MODULE} is missing: apt-get install softhsm2 opensc");
        println!("SKIP {name}: {MODULE} is missing and HOLDFAST_SKIP_HSM is set");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
    fs::write(folder.path().join("softhsm2.conf"), conf).unwrap();
    let settings = format!("state = {}\n{settings}\n", folder.path().display());
    fs::write(folder.path().join("shim"), settings).unwrap();
    init_token(folder.path(), TOKEN);
    let child = command(folder.path(), env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .env(CHILD, name)
        .env(FOLDER, folder.path())
        .env("PKCS11SPY", MODULE)
        .env(cloudhsm_shim::settings::VARIABLE, folder.path().join("shim"))
        .env("PKCS11SPY_OUTPUT", folder.path().join("calls"))
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{}\n{out}\n{err}", child.status);
    assert!(out.contains("1 passed"), "no test is called {name}\n{out}");
    print!("{out}");
}

/// The module that plays CloudHSM, which cargo puts beside this test.
pub(crate) fn shim() -> PathBuf {
    env::current_exe().unwrap().with_file_name("libcloudhsm_shim.so")
}

/// What was done to that module that must never be done.
pub(crate) fn violations(folder: &Path) -> String {
    fs::read_to_string(folder.join(cloudhsm_shim::VIOLATIONS)).unwrap_or_default()
}

fn command(folder: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("SOFTHSM2_CONF", folder.join("softhsm2.conf"));
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes another token.
pub(crate) fn init_token(folder: &Path, label: &str) {
    let mut softhsm = command(folder, "softhsm2-util");
    softhsm.args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-pin-1234"]);
    run(softhsm);
}

/// `pkcs11-tool` logged in to the test's token, in its own process.
pub(crate) fn tool(folder: &Path, arguments: &[&str]) {
    let mut tool = command(folder, "pkcs11-tool");
    tool.args(["--module", MODULE, "--token-label", TOKEN, "--login", "--pin", PIN]).args(arguments);
    run(tool);
}

pub(crate) fn config() -> Config {
    config_with(MODULE, TOKEN, PIN)
}

pub(crate) fn config_with(module: &str, token: &str, pin: &str) -> Config {
    let pin = Secret::locked(pin.as_bytes()).unwrap();
    Config::new(module, TokenChoice::Label(token.to_owned()), pin, KEY)
}

/// A token with a seal key, open.
pub(crate) fn hsm() -> Arc<Hsm> {
    pkcs11_seal::ceremony::init(&config(), Default::default()).unwrap();
    Arc::new(Hsm::open(config()).unwrap())
}

pub(crate) fn secret(bytes: &[u8]) -> Secret {
    Secret::transient(bytes.to_vec())
}
