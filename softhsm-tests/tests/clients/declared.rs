//! What the clients say of themselves: every command and flag of `bao` is here, or refused by its name.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

/// Flags of commands that are here without them.
const WITHOUT: &[(&str, &[&str])] = &[
    // There are no plugins.
    ("secrets enable", &["-plugin-name"]),
    ("auth enable", &["-plugin-name"]),
    // Namespaces have no seals of their own.
    ("namespace create", &["-key-shares", "-key-threshold", "-pgp-keys", "-seal"]),
];

fn help(client: &Path, words: &[String]) -> (Output, String) {
    let output = Command::new(client).args(words).arg("-h").output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// The subcommands that a help text lists.
fn subcommands(text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| !line.to_lowercase().ends_with("commands:"));
    lines
        .filter_map(|line| line.strip_prefix("    ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn flags(text: &str) -> BTreeSet<String> {
    let named = text.lines().filter_map(|line| line.strip_prefix("  -")?.split(['=', ' ']).next());
    named.map(|name| format!("-{name}")).collect()
}

/// What is missing below the command that `words` name.
pub fn missing(ours: &Path, theirs: &Path, words: &[String]) -> Vec<String> {
    let name = words.join(" ");
    let (_, their_text) = help(theirs, words);
    let (output, our_text) = help(ours, words);
    if our_text.contains("is not supported: ") {
        return Vec::new();
    }
    // The server's command line is an other.
    if name == "server" {
        return Vec::new();
    }
    if !output.status.success() {
        return vec![format!("{name}: {our_text}")];
    }
    let below = subcommands(&their_text);
    let longer = |word: String| [words, &[word]].concat();
    let without = WITHOUT.iter().filter(|(command, _)| *command == name).flat_map(|(_, flags)| flags.iter().copied());
    let without: BTreeSet<String> = without.map(str::to_owned).collect();
    let lacking: Vec<String> = flags(&their_text).difference(&flags(&our_text)).cloned().collect();
    let lacking = lacking.into_iter().filter(|flag| !without.contains(flag)).map(|flag| format!("{name} {flag}"));
    lacking.chain(below.into_iter().flat_map(|word| missing(ours, theirs, &longer(word)))).collect()
}

/// The paths that need sudo by the server's own description, of which the client does not say so.
pub fn sudo_unsaid(client: &Path, address: &str, token: &str) -> Vec<String> {
    let server = softhsm_tests::Client::new(address, token);
    let document = server.get("sys/internal/specs/openapi").ok();
    let paths = document["paths"].as_object().unwrap();
    let sudo = paths
        .iter()
        .filter(|(_, path)| path.as_object().unwrap().values().any(|operation| operation["x-vault-sudo"] == true))
        .map(|(path, _)| path.as_str());
    let paths: Vec<&str> = sudo.collect();
    assert!(paths.len() > 5, "{paths:?}");
    let said = |path: &str| {
        let filled: String =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        let output = Command::new(client).args(["read", "-output-policy", &filled]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("\"sudo\"")
    };
    paths.into_iter().filter(|path| !said(path)).map(str::to_owned).collect()
}
