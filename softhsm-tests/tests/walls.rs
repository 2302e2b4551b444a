//! The plan of the house: which crate may use which, and where `unsafe` may stand.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A crate, and the crates that it may use. `daemon` puts everything together and may use all of them.
const PLAN: &[(&str, &[&str])] = &[
    ("hardening", &[]),
    ("framework", &["hardening"]),
    ("storage", &["framework", "hardening"]),
    ("barrier", &["framework", "hardening"]),
    ("seals", &["framework", "hardening"]),
    ("engines", &["framework", "hardening"]),
    ("auth", &["framework", "hardening"]),
    ("registry", &["framework", "hardening"]),
    ("pkcs11-seal", &["framework", "hardening"]),
    ("ceremony", &["barrier", "seals", "registry", "framework", "hardening"]),
    ("system", &["registry", "framework"]),
    ("pipeline", &["registry", "framework", "hardening"]),
    ("server", &["pipeline", "framework"]),
    ("cli", &["framework"]),
    // Test tools. Other crates' tests may use them, the crates themselves may not.
    ("softhsm-tests", &["cloudhsm-shim", "storage", "barrier", "pkcs11-seal", "framework"]),
    ("cloudhsm-shim", &[]),
];

const TEST_TOOLS: [&str; 1] = ["cloudhsm-shim"];

fn crates() -> Vec<Value> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn crates_use_each_other_along_the_plan_only() {
    let crates = crates();
    let names: Vec<&str> = crates.iter().map(|each| each["name"].as_str().unwrap()).collect();
    let mut wrong = Vec::new();
    for each in &crates {
        let name = each["name"].as_str().unwrap();
        let for_tests = |each: &&Value| each["kind"] == "dev" && TEST_TOOLS.contains(&each["name"].as_str().unwrap());
        let dependencies = each["dependencies"].as_array().unwrap().iter().filter(|each| !for_tests(each));
        let dependencies = dependencies.map(|each| each["name"].as_str().unwrap());
        let inside = dependencies.filter(|used| names.contains(used) && *used != name);
        let allowed = PLAN.iter().find(|(planned, _)| *planned == name).map(|(_, allowed)| *allowed);
        match allowed {
            _ if name == "daemon" => {
                let tools = ["softhsm-tests", "cloudhsm-shim"];
                wrong.extend(inside.filter(|used| tools.contains(used)).map(|used| edge(name, used)))
            }
            Some(allowed) => wrong.extend(inside.filter(|used| !allowed.contains(used)).map(|used| edge(name, used))),
            None => wrong.push(format!("{name} is not in the plan")),
        }
    }
    assert!(wrong.is_empty(), "against the plan: {}", wrong.join("; "));
}

fn edge(from: &str, to: &str) -> String {
    format!("{from} must not use {to}")
}

#[test]
fn unsafe_code_is_forbidden_but_in_hardening_and_the_module_for_tests() {
    let mut open: Vec<String> = Vec::new();
    for each in crates() {
        for target in each["targets"].as_array().unwrap() {
            let kinds = target["kind"].to_string();
            let root = PathBuf::from(target["src_path"].as_str().unwrap());
            let may = each["name"] == "hardening" || each["name"] == "cloudhsm-shim";
            if !may && (kinds.contains("lib") || kinds.contains("bin")) && !forbids(&root) {
                open.push(root.display().to_string());
            }
        }
    }
    assert!(open.is_empty(), "without #![forbid(unsafe_code)]: {}", open.join(", "));
}

fn forbids(root: &Path) -> bool {
    std::fs::read_to_string(root).unwrap().lines().any(|line| line.trim() == "#![forbid(unsafe_code)]")
}
