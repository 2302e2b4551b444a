//! One command line, twice: by two clients, or against two servers. What comes out is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One client and the server it speaks to, and what is known of that server: shares, tokens and the like, by name.
pub struct Side {
    client: PathBuf,
    url: String,
    pub home: TempDir,
    pub known: BTreeMap<String, String>,
}

pub struct Outcome {
    pub code: i32,
    /// The HTTP status of a refusal.
    refusal: Option<String>,
    pub json: Option<Value>,
    out: String,
    pub said: String,
}

impl Side {
    pub fn new(client: PathBuf, url: String) -> Self {
        Self { client, url, home: tempfile::tempdir().unwrap(), known: BTreeMap::new() }
    }

    /// Runs a command line in which `{name}` stands for what is known by that name. Words such as `BAO_FORMAT=json` in
    /// front are set in the environment.
    fn run(&self, line: &str, input: &str) -> Outcome {
        let fill = |word: &str| {
            self.known.iter().fold(word.to_owned(), |word, (name, value)| word.replace(&format!("{{{name}}}"), value))
        };
        let words: Vec<String> = line.split_whitespace().map(fill).collect();
        let first = words.iter().position(|word| !word.starts_with("BAO_")).unwrap_or(words.len());
        let (environment, arguments) = words.split_at(first);
        let mut child = Command::new(&self.client)
            .args(arguments)
            .env_clear()
            .envs([("HOME", self.home.path().as_os_str()), ("BAO_ADDR", self.url.as_ref())])
            .envs(environment.iter().filter_map(|word| word.split_once('=')))
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A client that does not read its input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Outcome {
            code: output.status.code().unwrap_or(-1),
            refusal: err.split("Code: ").nth(1).map(|rest| rest[..3].to_owned()),
            json: serde_json::from_str(&out).ok(),
            said: format!("{out}{err}"),
            out: out.into_owned(),
        }
    }
}

/// The paths of all values with their types, `[]` for the elements of a list. Null fits every type, so it has none.
pub fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "",
        Value::Bool(_) => ": boolean",
        Value::Number(_) => ": number",
        Value::String(_) => ": string",
        Value::Array(_) => ": list",
        Value::Object(_) => ": object",
    };
    found.insert(path.to_owned());
    found.insert(format!("{path}{kind}"));
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| shape(value, &format!("{path}.{key}"), found)),
        Value::Array(list) => list.iter().for_each(|value| shape(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

/// Text without what differs from run to run: what is known by a name, long words and those with digits, the widths of columns.
fn gist(text: &str, known: &BTreeMap<String, String>) -> String {
    let text = known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(value, name));
    let word = |word: &str| {
        let ruler = word.chars().all(|c| c == '-' || c == '=');
        let varies = word.len() > 20 || word.chars().any(|c| c.is_ascii_digit());
        if ruler {
            "-".to_owned()
        } else if varies {
            "#".to_owned()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// What may differ where a command line has this in it: values whose path begins so, the `code`, the `text`.
pub type Allowed = &'static [(&'static str, &'static str)];

pub struct Both {
    pub ours: Side,
    pub theirs: Side,
    allowed: Allowed,
    /// Whether what people read is compared as well.
    text: bool,
    differences: Vec<String>,
}

impl Both {
    pub fn new(ours: Side, theirs: Side, allowed: Allowed, text: bool) -> Self {
        Self { ours, theirs, allowed, text, differences: Vec::new() }
    }

    /// Runs a command line on both sides and compares.
    pub fn run(&mut self, line: &str) -> (Outcome, Outcome) {
        self.run_with(line, "")
    }

    /// Runs a command line with this standard input.
    pub fn run_with(&mut self, line: &str, input: &str) -> (Outcome, Outcome) {
        let (ours, theirs) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| self.theirs.run(line, input));
            (self.ours.run(line, input), theirs.join().unwrap())
        });
        let told = || format!("\n{}--- against\n{}", ours.said, theirs.said);
        let mut found = Vec::new();
        if (ours.code, &ours.refusal) != (theirs.code, &theirs.refusal) && !self.may_differ(line, "code") {
            found.push(format!("exit code {} against {}:{}", ours.code, theirs.code, told()));
        }
        match (&ours.json, &theirs.json) {
            (Some(our_json), Some(their_json)) => found.extend(self.compare(line, our_json, their_json)),
            (None, None) if self.text && self.gists_differ(&ours, &theirs) && !self.may_differ(line, "text") => {
                found.push(format!("prints something else:{}", told()));
            }
            (None, None) => {}
            (Some(_), None) if self.may_differ(line, "text") => {}
            (Some(_), None) => found.push(format!("only ours prints JSON:{}", told())),
            (None, Some(_)) => found.push(format!("only theirs prints JSON:{}", told())),
        }
        self.differences.extend(found.into_iter().map(|found| format!("`{line}`: {found}")));
        (ours, theirs)
    }

    fn gists_differ(&self, ours: &Outcome, theirs: &Outcome) -> bool {
        gist(&ours.out, &self.ours.known) != gist(&theirs.out, &self.theirs.known)
    }

    fn may_differ(&self, line: &str, part: &str) -> bool {
        self.allowed.iter().any(|(command, allowed)| line.contains(command) && part.starts_with(allowed))
    }

    fn compare(&self, line: &str, ours: &Value, theirs: &Value) -> Option<String> {
        let shaped = |value: &Value| {
            let mut found = BTreeSet::new();
            shape(value, "", &mut found);
            found
        };
        let (ours, theirs) = (shaped(ours), shaped(theirs));
        let typed = |shape: &BTreeSet<String>, path: &str| shape.iter().any(|s| s.starts_with(&format!("{path}: ")));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
            // A value that is null there fits whatever type it has here.
            let null_there =
                |part: &str| part.split_once(": ").is_some_and(|(path, _)| b.contains(path) && !typed(b, path));
            let differs = |part: &&String| !self.may_differ(line, part) && !null_there(part);
            a.difference(b).filter(differs).cloned().collect()
        };
        let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
        let same = more.is_empty() && less.is_empty();
        (!same).then(|| format!("more than theirs: {more:?}; missing: {less:?}"))
    }

    /// Runs a command on both sides, and remembers parts of its JSON by name.
    pub fn learn(&mut self, line: &str, names: &[(&str, &str)]) {
        let (ours, theirs) = self.run(line);
        for (side, outcome) in [(&mut self.ours, ours), (&mut self.theirs, theirs)] {
            for (name, pointer) in names {
                let value = outcome.json.as_ref().and_then(|json| json.pointer(pointer)).and_then(Value::as_str);
                let value = value.unwrap_or_else(|| panic!("no {pointer} in {line}: {}", outcome.said));
                side.known.insert((*name).to_owned(), value.to_owned());
            }
        }
    }

    /// Fails with all that differed.
    pub fn finish(self) {
        assert!(
            self.differences.is_empty(),
            "{} differences:\n{}",
            self.differences.len(),
            self.differences.join("\n")
        );
    }
}
