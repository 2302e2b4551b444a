//! Every operation of hvac, the Python library, against this server and against OpenBao's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What may differ: the steps, and what the differing parts begin with.
const ALLOWED: &[(&str, &str)] = &[
    // What Vault answers and OpenBao does not.
    ("", ".mount_type"),
    ("sys.read_health_status", ".performance_standby"),
    ("", ".build_date"),
    ("", ".removed_from_cluster"),
    // This server's own.
    ("", ".holdfast_version"),
    // This version has no identity engine.
    ("sys.list_mounted_secrets_engines", ".identity/"),
    ("sys.list_mounted_secrets_engines", ".data.identity/"),
    // Its system engine reads the header `Accept` for formats that are not served here.
    ("sys.list_mounted_secrets_engines", ".sys/.config.passthrough_request_headers"),
    ("sys.list_mounted_secrets_engines", ".data.sys/.config.passthrough_request_headers"),
    ("sys.read_auth_method_tuning", ".options"),
    ("sys.read_auth_method_tuning", ".data.options"),
    // The first root token shows less there than the later ones.
    ("auth.token.lookup_self", ".data.issue_time"),
    ("auth.token.lookup_self", ".data.renewable"),
    // A mount moves at once here.
    ("sys.move_backend", ".warnings"),
    // Their 500 for what the client does wrong is a 400.
    ("auth.approle.destroy_secret_id_accessor none", "outcome"),
];

/// How one operation ended, and the keys and types of its answer.
struct Step {
    outcome: String,
    shape: BTreeSet<String>,
}

/// The Python that has hvac: the one beside `bao`. Says so where there is none.
pub fn python(bao: &Path) -> Option<PathBuf> {
    let python = bao.with_file_name("python");
    let has = Command::new(&python).args(["-c", "import hvac"]).output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("SKIP: there is no Python with hvac at {} (`pip install hvac`)", python.display());
    }
    has.then_some(python)
}

fn steps(python: &Path, url: &str, log: &Path, certificate: &Path) -> BTreeMap<String, Step> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/operations.py");
    let output = Command::new(python).arg("-B").arg(script).arg(url).args([log, certificate]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|line| {
            let shape =
                line["shape"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect();
            let outcome = line["outcome"].as_str().unwrap().to_owned();
            (line["step"].as_str().unwrap().to_owned(), Step { outcome, shape })
        })
        .collect()
}

/// What is in one shape and not in the other. A null fits every type.
fn difference<'a>(one: &'a BTreeSet<String>, other: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
    one.difference(other).filter(|part| {
        let (path, kind) = part.split_once(": ").unwrap_or((part, ""));
        let there = |there: &String| there.split_once(": ").is_some_and(|(known, _)| known == path);
        let fits = if kind == "null" { other.iter().any(there) } else { other.contains(&format!("{path}: null")) };
        !fits
    })
}

/// Runs the operations against both servers, neither of them initialised, and says what differs. The audit logs are files that
/// the servers may write to.
pub fn differences(python: &Path, ours: (&str, &Path), theirs: (&str, &Path), certificate: &Path) -> Vec<String> {
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| steps(python, theirs.0, theirs.1, certificate));
        (steps(python, ours.0, ours.1, certificate), theirs.join().unwrap())
    });
    assert!(ours.len() > 150, "{} operations", ours.len());
    let allowed = |step: &str, part: &str| ALLOWED.iter().any(|(s, p)| step.starts_with(s) && part.starts_with(p));
    let mut found = Vec::new();
    for name in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
        let (Some(our), Some(their)) = (ours.get(name), theirs.get(name)) else {
            found.push(format!("{name}: on one side only"));
            continue;
        };
        if our.outcome != their.outcome && !allowed(name, "outcome") || our.outcome.contains("forgotten") {
            found.push(format!("{name}: {} against {}", our.outcome, their.outcome));
        }
        for (word, one, other) in [("more", our, their), ("missing", their, our)] {
            let parts = difference(&one.shape, &other.shape).filter(|part| !allowed(name, part));
            found.extend(parts.map(|part| format!("{name}: {word}: {part}")));
        }
    }
    found
}
