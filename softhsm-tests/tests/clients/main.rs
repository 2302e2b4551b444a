//! Clients that others wrote, unchanged: `bao` and hvac against this server and against `bao server`, `bao agent` and `bao proxy`
//! before this server; and this client beside `bao`. The same exit codes, the same HTTP codes of refusals, the same keys and
//! types of answers.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr
)]

mod agent;
mod both;
mod commands;
mod declared;
mod flags;
mod hvac;
mod openbao;
mod prompt;
mod raw;

use both::{Allowed, Both, Side};
use openbao::{OpenBao, bao};
use softhsm_tests::{Seal, Server, Setup, binary, certify};

/// What this server answers otherwise than OpenBao's.
const SERVERS: Allowed = &[
    // The first root token has no lease there, and shows less than the later ones; here all show the same.
    ("token lookup -format=json", ".data.issue_time"),
    ("token lookup -format=json", ".data.renewable"),
    // This version has no identity engine.
    ("secrets list", ".identity/"),
    // Its system engine reads the header `Accept` for formats that are not served here.
    ("secrets list", ".sys/.config.passthrough_request_headers"),
    // Written into each store there; here it is the server's own.
    ("read -format=json sys/policies/acl/response-wrapping", ".data.modified"),
];

/// What this client prints otherwise than OpenBao's.
const CLIENTS: Allowed = &[
    // The contract of the exit code: 1 for what is wrong on this side, before there is a request.
    ("kv patch -method=odd", "code"),
    ("policy write in none.hcl", "code"),
    ("-address=odd://", "code"),
    ("-header=X-Vault-", "code"),
    ("-ca-cert=none.pem", "code"),
    ("-client-cert=none.pem", "code"),
    ("login -non-interactive", "code"),
    ("BAO_CLIENT_TIMEOUT=odd", "code"),
    ("BAO_SKIP_VERIFY=odd", "code"),
    // What a server says of itself is shown whole.
    ("status", ".holdfast_version"),
    ("status", ".removed_from_cluster"),
    ("operator unseal", ".holdfast_version"),
    ("operator unseal", ".removed_from_cluster"),
    ("status", "text"),
    ("operator unseal", "text"),
    // JSON where it is asked for.
    ("operator rotate-keys -format=json -verify", "text"),
    // The same in other words.
    ("login -method=userpass -path=people -no-store", "text"),
    ("auth help", "text"),
    ("operator rekey -nonce={nonce} {new1}", "text"),
    ("-output-curl-string", "text"),
    ("-h", "text"),
    ("odd", "text"),
    // It rotates by a path that Vault has too.
    ("operator rotate -output-policy", "text"),
    // It needs sudo, here and there.
    ("operator seal -output-policy", "text"),
    // The help itself, where the server has no OpenAPI document of one path.
    ("path-help", "."),
];

fn server() -> Server {
    let mut server = Server::prepare(Setup { audit: false, ..Setup::new(Seal::Shamir, "redb") });
    server.run();
    server
}

/// A client and this server, which may write audit logs to its data directory and nowhere else.
fn side(client: std::path::PathBuf, server: &Server) -> Side {
    let mut side = Side::new(client, server.address());
    side.known.insert("log".to_owned(), server.data().join("audit.log").display().to_string());
    side
}

#[test]
fn the_bao_client_finds_no_difference_between_the_servers() {
    let Some(bao) = bao() else { return };
    let (server, openbao) = (server(), OpenBao::start(&bao));
    let mut theirs = Side::new(bao.clone(), openbao.url.clone());
    theirs.known.insert("log".to_owned(), theirs.home.path().join("audit.log").display().to_string());
    let mut both = Both::new(side(bao, &server), theirs, SERVERS, false);
    commands::all(&mut both);
    both.finish();
}

#[test]
fn this_client_does_as_the_bao_client_does() {
    let Some(bao) = bao() else { return };
    let servers = [server(), server()];
    let mut both = Both::new(side(binary(), &servers[0]), side(bao, &servers[1]), CLIENTS, true);
    commands::start(&mut both);
    commands::ceremonies(&mut both);
    flags::all(&mut both);
    both.finish();
}

#[test]
fn hvac_finds_no_difference_between_the_servers() {
    let Some((bao, python)) = bao().and_then(|bao| hvac::python(&bao).map(|python| (bao, python))) else { return };
    let (server, openbao) = (server(), OpenBao::start(&bao));
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path(), server.socket.ip(), 2090);
    let logs = [server.data().join("audit.log"), folder.path().join("audit.log")];
    let (ours, theirs) = ((server.address(), &logs[0]), (openbao.url.clone(), &logs[1]));
    let certificate = folder.path().join("tls.crt");
    let found = hvac::differences(&python, (&ours.0, ours.1), (&theirs.0, theirs.1), &certificate);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn requests_as_libraries_make_them_are_answered_alike() {
    let Some(bao) = bao() else { return };
    let server = Server::start(Setup { audit: false, ..Setup::new(Seal::Shamir, "memory") });
    let openbao = OpenBao::start(&bao);
    let found = raw::differences(&server.client(), &openbao.initialise());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn bao_agent_and_bao_proxy_log_in_and_serve() {
    let Some(bao) = bao() else { return };
    let server = Server::start(Setup { audit: false, ..Setup::new(Seal::Shamir, "memory") });
    agent::prepare(&server);
    agent::agent_logs_in_and_renders(&bao, &server);
    agent::proxy_lends_its_token(&bao, &server);
}

#[test]
fn what_is_typed_at_a_prompt_is_not_shown() {
    let Some(python) = bao().and_then(|bao| hvac::python(&bao)) else { return };
    let server = Server::start(Setup { audit: false, ..Setup::new(Seal::Shamir, "memory") });
    prompt::secrets_are_never_shown(&python, &server);
}

#[test]
fn a_shell_that_asks_is_told_words_flags_and_mounts() {
    let server = Server::start(Setup { audit: false, ..Setup::new(Seal::Shamir, "memory") });
    server.mount("team", false);
    let told = |line: &str| {
        let mut shell = server.command(&["holdfast", "", ""]);
        let output = shell.env("COMP_LINE", line).env("VAULT_TOKEN", &server.root_token).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told("holdfast kv get te"), "team/");
    assert_eq!(told("holdfast auth disable "), "token/");
    assert_eq!(told("holdfast operator un"), "unseal");
    assert_eq!(told("holdfast hsm doctor -p"), "-profile");
}

#[test]
fn every_command_and_flag_of_the_bao_client_is_here_or_refused() {
    let Some(bao) = bao() else { return };
    let missing = declared::missing(&binary(), &bao, &[]);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn the_client_knows_which_paths_need_sudo() {
    let server = Server::start(Setup { audit: false, ..Setup::new(Seal::Shamir, "memory") });
    let unsaid = declared::sudo_unsaid(&binary(), &server.address(), &server.root_token);
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
}
