//! Audit devices: what they write, and what happens when they cannot.
// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{House, house_with, refusal};
use framework::{
    Ask, AuditSink, Auth, Caller, Error, Json, Map, MountInfo, Operation, Origin, Output, Secret, Timestamp, TokenKind,
    TokenRule,
};
use registry::{AuditSpec, DeclaredDevice, MountClass, MountSpec, Settings, Tune};
use tempfile::TempDir;

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A house with one device from the configuration.
fn audited(more: &[(&str, &str)]) -> (House, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut options = options(more);
    options.insert("path".into(), path.to_str().unwrap().into());
    let device = DeclaredDevice { path: "main".into(), kind: "file".into(), description: String::new(), options };
    let settings = Settings { audit: vec![device], running_version: "v2.7.2+builtin.bao", ..Settings::default() };
    (house_with(settings), path, folder)
}

fn origin(id: &str, port: u16) -> Origin {
    Origin {
        request_id: id.to_owned(),
        remote_address: [127, 0, 0, 1].into(),
        remote_port: port,
        namespace: String::new(),
        wrap_ttl: None,
        client_certificates: Vec::new(),
    }
}

fn mount(path: &str, kind: &str) -> MountInfo {
    MountInfo {
        path: path.to_owned(),
        kind: kind.to_owned(),
        accessor: format!("{kind}_12345678"),
        options: BTreeMap::new(),
        default_ttl: Duration::ZERO,
        max_ttl: Duration::ZERO,
        token_rule: TokenRule::default(),
    }
}

fn object(text: &str) -> Map<String, Json> {
    serde_json::from_str(text).unwrap()
}

fn root() -> Caller {
    Caller {
        token: "name".into(),
        accessor: "C1ZMr25U1cm5sN8RYGfb8gEg".into(),
        display_name: "token".into(),
        policies: vec!["root".into()].into(),
        kind: "service",
        issued: Timestamp::parse("2026-11-21T23:12:15.483454837Z").unwrap(),
        root: true,
        orphan: true,
        ..Caller::default()
    }
}

/// A request, as the pipeline would tell it.
struct Case {
    headers: &'static [(&'static str, &'static str)],
    caller: Caller,
    remaining_uses: u64,
    token: Option<Secret>,
    operation: Operation,
    path: &'static str,
    mount: Option<MountInfo>,
    data: &'static str,
    clear: &'static [&'static str],
    answer: Result<Output, Error>,
}

impl Case {
    fn record(&self, house: &House, id: &str, port: u16) -> Result<(), Error> {
        let (origin, data) = (origin(id, port), object(self.data));
        let headers = self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let ask = Ask {
            origin: &origin,
            headers: &headers,
            caller: &self.caller,
            remaining_uses: self.remaining_uses,
            token: self.token.as_ref(),
            operation: self.operation,
            path: self.path,
            mount: self.mount.as_ref(),
            data: &data,
            clear: self.clear,
        };
        let refusal = self.answer.as_ref().err().filter(|error| matches!(error, Error::Denied));
        house.registry.request(&ask, refusal)?;
        house.registry.response(&ask, &self.answer)
    }
}

fn data(text: &str) -> Result<Output, Error> {
    Ok(Output { data: Some(object(text)), ..Output::default() })
}

fn case(name: &str) -> Case {
    let kv = Case {
        headers: &[],
        caller: root(),
        remaining_uses: 0,
        token: Some("regroot".into()),
        operation: Operation::Read,
        path: "secret/data/a",
        mount: Some(mount("secret/", "kv")),
        data: "{}",
        clear: &["created_time"],
        answer: Ok(Output::default()),
    };
    let token = |data, answer| Case {
        operation: Operation::Update,
        path: "auth/token/create",
        mount: Some(mount("auth/token/", "token")),
        data,
        answer: Ok(answer),
        ..case("delete")
    };
    match name {
        "kv write" => Case {
            operation: Operation::Create,
            data: r#"{"options":{"cas":0},"data":{"foo":"bar","n":1,"b":true,"nul":null,"list":["a",2,["x"]],"o":{"k":"v"}}}"#,
            answer: data(
                r#"{"created_time":"2026-11-21T23:12:19.379585694Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}"#,
            ),
            ..kv
        },
        "kv read nothing" => Case { path: "secret/data/none", answer: Err(Error::NotFound), ..kv },
        "list" => {
            Case { operation: Operation::List, path: "secret/metadata/", answer: data(r#"{"keys":["a"]}"#), ..kv }
        }
        "delete" => Case { operation: Operation::Delete, ..kv },
        "token create" => token(
            r#"{"display_name":"joe","meta":{"k":"v"},"num_uses":5,"policies":["default"],"ttl":"1h"}"#,
            Output {
                auth: Some(Auth {
                    client_token: Some("hvs.new".into()),
                    accessor: "a".into(),
                    display_name: "token-joe".into(),
                    policies: vec!["default".into()],
                    metadata: [("k".into(), "v".into())].into(),
                    num_uses: 5,
                    ttl: Duration::from_secs(3600),
                    kind: TokenKind::Service,
                    ..Auth::default()
                }),
                ..Output::default()
            },
        ),
        "warnings" => token(
            r#"{"ttl":"9999h","foo":"bar<>&"}"#,
            Output {
                auth: Some(Auth {
                    client_token: Some("hvs.new".into()),
                    accessor: "a".into(),
                    display_name: "token".into(),
                    policies: vec!["root".into()],
                    ttl: Duration::from_secs(2_764_800),
                    kind: TokenKind::Service,
                    ..Auth::default()
                }),
                warnings: vec![
                    "TTL of \"9999h\" exceeded the effective max_ttl of \"768h\"; TTL value is capped accordingly"
                        .into(),
                    "Endpoint ignored these unrecognized parameters: [foo]".into(),
                ],
                ..Output::default()
            },
        ),
        "no token" => Case { caller: Caller::default(), token: None, answer: Err(Error::Denied), ..kv },
        "bad token" => {
            Case { caller: Caller::default(), token: Some("bogus".into()), answer: Err(Error::Denied), ..kv }
        }
        "no route" => Case {
            path: "nomount/a",
            mount: None,
            answer: Err(Error::NoRoute {
                message: "no handler for route \"nomount/a\". route entry not found.".into(),
            }),
            ..kv
        },
        "headers" => Case {
            headers: &[("x-foo", "one"), ("x-bar", "clear"), ("x-baz", "no"), ("x-foo", "two<")],
            caller: Caller { issued: Timestamp::parse("2026-11-25T00:01:45.5Z").unwrap(), ..root() },
            remaining_uses: 5,
            ..case("kv read nothing")
        },
        "login" => Case {
            caller: Caller::default(),
            token: None,
            operation: Operation::Update,
            path: "auth/userpass/login/bob",
            mount: Some(mount("auth/userpass/", "userpass")),
            data: r#"{"password":"p<&>w"}"#,
            clear: &[],
            headers: &[],
            remaining_uses: 0,
            answer: Ok(Output {
                auth: Some(Auth {
                    client_token: Some("hvs.new".into()),
                    accessor: "a".into(),
                    display_name: "userpass-bob".into(),
                    policies: vec!["default".into(), "pol1".into()],
                    metadata: [("username".into(), "bob".into())].into(),
                    entity_id: "68149216-94f5-8155-3ad6-3dd68f4e00be".into(),
                    ttl: Duration::from_secs(2_764_800),
                    kind: TokenKind::Service,
                    ..Auth::default()
                }),
                ..Output::default()
            }),
        },
        "invalid" => Case {
            operation: Operation::Update,
            path: "sys/mounts/moved2/tune",
            mount: Some(mount("sys/", "system")),
            data: r#"{"default_lease_ttl":"2h","max_lease_ttl":"1h"}"#,
            answer: Err(Error::invalid("backend max lease TTL of 3600 would be less")),
            ..kv
        },
        "denied" => Case {
            caller: Caller {
                policies: vec!["default".into(), "pol1".into()].into(),
                metadata: [("k".into(), "v".into())].into(),
                ttl: 3600,
                issued: Timestamp::parse("2026-11-21T23:13:22.7Z").unwrap(),
                root: false,
                ..root()
            },
            operation: Operation::Update,
            data: r#"{"data":{}}"#,
            answer: Err(Error::Denied),
            ..kv
        },
        name => panic!("no case {name}"),
    }
}

/// What differs from run to run, and the accessor of the mount, taken out.
fn normal(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("hmac-sha256:") {
        let (head, tail) = rest.split_at(at + 12);
        out += head;
        out += "H";
        rest = tail.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == 'H');
    }
    out += rest;
    let time = out.find("\",\"type\"").unwrap();
    let mut line = format!("{{\"time\":\"T{}", &out[time..]);
    while let Some(at) = line.find("\"mount_accessor\":") {
        let end = at + line[at..].find(',').unwrap() + 1;
        line.replace_range(at..end, "");
    }
    line
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn lines_are_those_of_openbao() {
    let (house, path, _folder) = audited(&[]);
    house.write(|view| house.registry.audit_header(view, "X-Foo", true)).unwrap();
    house.write(|view| house.registry.audit_header(view, "x-bar", false)).unwrap();
    let golden = include_str!("golden/openbao-2.7.2.audit");
    let mut cases = 0;
    for part in golden.split("\n# ").skip(2) {
        let mut expected = part.lines();
        let name = expected.next().unwrap();
        let field =
            |line: &str, name: &str| line.split(name).nth(1).unwrap().split(['"', '}', ',']).next().unwrap().to_owned();
        let (request, response) = (expected.next().unwrap(), expected.next().unwrap());
        let id = field(request, "\"request\":{\"id\":\"");
        let port = field(request, "\"remote_port\":").parse().unwrap();
        case(name).record(&house, &id, port).unwrap();
        let written = lines(&path);
        let [.., ours_request, ours_response] = written.as_slice() else { panic!() };
        assert_eq!(normal(ours_request), request, "request of {name}");
        assert_eq!(normal(ours_response), response, "response of {name}");
        for line in [ours_request, ours_response] {
            serde_json::from_str::<Json>(line).unwrap();
        }
        cases += 1;
    }
    assert_eq!(cases, 13);
}

#[test]
fn no_secret_stands_in_the_log_unless_it_is_asked_for() {
    let (house, path, _folder) = audited(&[]);
    for name in ["kv write", "token create", "bad token", "login", "invalid", "list"] {
        case(name).record(&house, "id", 1).unwrap();
    }
    let log = fs::read_to_string(&path).unwrap();
    for secret in [
        "regroot",
        "C1ZMr25U1cm5sN8RYGfb8gEg",
        "\"bar\"",
        "hvs.new",
        "bogus",
        "p<",
        "p\\u003c",
        "\"a\"",
        "backend max",
        "joe\"",
    ] {
        // The display name is shown, as in Vault; what the client sent for it is not.
        assert!(!log.replace("token-joe", "").contains(secret), "{secret}");
    }
    let hash = house.registry.audit_hash("main", &"bar".into()).unwrap();
    assert!(log.contains(&format!("\"foo\":\"{hash}\"")));
    assert_eq!(refusal(house.registry.audit_hash("x", &"bar".into())), "unknown audit backend \"x/\"");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn options_change_the_lines() {
    let (house, path, _folder) =
        audited(&[("log_raw", "true"), ("prefix", "@cee: "), ("mode", "0640"), ("elide_list_responses", "true")]);
    case("kv write").record(&house, "id", 1).unwrap();
    case("list").record(&house, "id", 1).unwrap();
    let written = lines(&path);
    assert!(written[0].starts_with("@cee: {") && written[0].contains(r#""foo":"bar""#));
    assert!(written[3].contains(r#""data":{"keys":1}"#));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);

    let (house, path, _folder) = audited(&[("hmac_accessor", "false")]);
    case("kv write").record(&house, "id", 1).unwrap();
    assert!(lines(&path)[0].contains(r#""client_token_accessor":"C1ZMr25U1cm5sN8RYGfb8gEg""#));
}

#[test]
fn a_mount_may_show_fields_at_the_top_only() {
    let (house, path, _folder) = audited(&[]);
    let spec = MountSpec { path: "secret".into(), kind: "kv".into(), ..MountSpec::default() };
    house.write(|view| house.registry.enable_mount(view, MountClass::Secret, spec)).unwrap();
    let tune = Tune { audit_non_hmac_request_keys: Some(vec!["options".into(), "foo".into()]), ..Tune::default() };
    house.write(|view| house.registry.tune_mount(view, "secret", tune)).unwrap();
    let text = r#"{"options":"shown","data":{"foo":"hidden"}}"#;
    Case { data: text, ..case("kv write") }.record(&house, "id", 1).unwrap();
    let log = fs::read_to_string(&path).unwrap();
    assert!(log.contains(r#""options":"shown""#) && !log.contains("hidden"));
}

#[test]
fn awkward_text_is_escaped_as_go_does_it() {
    let (house, path, _folder) = audited(&[("log_raw", "1")]);
    let text = r#"{"k":"\"\\\n\r\t\b\f\u0001<>&\u2028\u2029é\u00e2 end"}"#;
    Case { data: text, ..case("kv write") }.record(&house, "id", 1).unwrap();
    let expected = r#""k":"\"\\\n\r\t\b\f\u0001\u003c\u003e\u0026\u2028\u2029éâ end""#;
    assert!(lines(&path)[0].contains(expected), "{}", lines(&path)[0]);
}

#[test]
fn a_device_that_fails_stops_requests_and_one_that_works_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let device = |name: &str, path: &Path| DeclaredDevice {
        path: name.into(),
        kind: "file".into(),
        description: String::new(),
        options: options(&[("file_path", path.to_str().unwrap())]),
    };
    // A file is no folder: this cannot be opened, not even by root.
    let bad = device("bad", &blocked.join("audit.log"));
    let house = house_with(Settings { audit: vec![bad.clone()], ..Settings::default() });
    assert!(refusal(house.registry.check_declared_audit()).contains("\"bad\""));
    let Err(Error::Internal(incident)) = case("delete").record(&house, "id", 1) else { panic!("not refused") };
    assert!(incident.cause.contains("bad/"), "{}", incident.cause);
    let good = device("good", &folder.path().join("deep/er/audit.log"));
    let house = house_with(Settings { audit: vec![bad, good.clone()], ..Settings::default() });
    case("delete").record(&house, "id", 1).unwrap();
    assert_eq!(lines(&folder.path().join("deep/er/audit.log")).len(), 2);
    let full = device("full", Path::new("/dev/full"));
    let house = house_with(Settings { audit: vec![full], ..Settings::default() });
    assert!(matches!(case("delete").record(&house, "id", 1), Err(Error::Internal(_))));
    let none = house_with(Settings::default());
    case("delete").record(&none, "id", 1).unwrap();
    none.registry.forget();
    assert!(matches!(case("delete").record(&none, "id", 1), Err(Error::Sealed)));
}

#[test]
fn a_rotated_or_deleted_file_is_noticed_and_a_torn_line_is_closed() {
    let (house, path, folder) = audited(&[]);
    let rotated = folder.path().join("audit.log.1");
    case("delete").record(&house, "one", 1).unwrap();
    fs::rename(&path, &rotated).unwrap();
    house.pass(1);
    case("delete").record(&house, "two", 1).unwrap();
    assert_eq!((lines(&rotated).len(), lines(&path).len()), (2, 2));
    fs::remove_file(&path).unwrap();
    house.pass(1);
    case("delete").record(&house, "three", 1).unwrap();
    assert_eq!(lines(&path).len(), 2);
    // As a crash in the middle of a write leaves it.
    fs::write(&path, "{\"time\":\"20").unwrap();
    house.registry.reopen_audit();
    case("delete").record(&house, "four", 1).unwrap();
    let written = lines(&path);
    assert_eq!(written.len(), 3);
    assert!(serde_json::from_str::<Json>(&written[1]).is_ok());
}

#[test]
fn devices_are_managed_by_the_api() {
    let (house, declared, folder) = audited(&[]);
    let path = folder.path().join("second.log");
    let file = path.to_str().unwrap();
    let enable = |name: &str, kind: &str, pairs: &[(&str, &str)]| {
        let spec = AuditSpec { path: name.into(), kind: kind.into(), options: options(pairs), ..AuditSpec::default() };
        refusal(house.write(|view| house.registry.enable_audit(view, spec)))
    };
    assert_eq!(enable("f3/", "file", &[("file_path", file)]), "allowed");
    assert_eq!(enable("f3", "file", &[("file_path", file)]), "path already in use");
    assert_eq!(enable("f3/sub", "file", &[("file_path", file)]), "path already in use");
    assert_eq!(enable("main", "file", &[("file_path", file)]), "path already in use");
    assert_eq!(enable("f5", "file", &[]), "file_path is required");
    assert_eq!(enable("f5", "file", &[("file_path", file), ("format", "weird")]), "unknown format type \"weird\"");
    assert!(enable("f5", "weird", &[]).starts_with("unknown backend type: \"weird\""));
    for (name, value) in [("mode", "99z"), ("log_raw", "maybe"), ("colour", "blue")] {
        assert!(enable("f5", "file", &[("file_path", file), (name, value)]).contains(name), "{name}");
    }
    assert!(enable("f5", "file", &[("file_path", "/dev/null/x")]).starts_with("sanity check failed"));
    let shown: Vec<String> = house.registry.audit_devices().unwrap().into_iter().map(|device| device.path).collect();
    assert_eq!(shown, ["main/", "f3/"]);
    case("kv write").record(&house, "id", 1).unwrap();
    // Different salts: the same value looks different in the two logs.
    let hashes = ["main", "f3"].map(|name| house.registry.audit_hash(name, &"bar".into()).unwrap());
    assert_ne!(hashes[0], hashes[1]);
    assert!(fs::read_to_string(&path).unwrap().contains(&hashes[1]));
    // The salt outlives a restart.
    house.registry.forget();
    house.registry.load(&house.store, &common::hmac_key()).unwrap();
    assert_eq!(["main", "f3"].map(|name| house.registry.audit_hash(name, &"bar".into()).unwrap()), hashes);

    let disable = |name| refusal(house.write(|view| house.registry.disable_audit(view, name)));
    assert_eq!(disable("main"), "cannot disable configuration-managed audit device");
    assert_eq!((disable("f3"), disable("f3")), ("allowed".into(), "allowed".into()));
    case("delete").record(&house, "id", 1).unwrap();
    assert_eq!((lines(&declared).len(), lines(&path).len()), (4, 2));
}

#[test]
fn lines_of_many_threads_do_not_mix() {
    let (house, path, _folder) = audited(&[]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..100).for_each(|_| case("kv write").record(&house, "id", 1).unwrap()));
        }
    });
    let written = lines(&path);
    assert_eq!(written.len(), 1600);
    assert!(written.iter().all(|line| serde_json::from_str::<Json>(line).is_ok()));
}
