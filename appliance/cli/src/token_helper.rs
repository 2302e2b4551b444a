//! Where the token lies between two commands: a file, or a program that the user names.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::failure::Failure;
use crate::hcl;
use crate::token_file::TokenFile;

/// The keeper of the token.
pub(crate) enum TokenHelper {
    File(TokenFile),
    /// A program with its first arguments. It gets `get` or `store` as the last one; the token passes through its standard
    /// output or input, never through its arguments.
    Program(Vec<String>),
}

impl TokenHelper {
    /// The program of `token_helper = "…"` in the client's configuration (`~/.vault`, or the file `named`); else the file in
    /// the home directory, if there is one.
    pub(crate) fn configured(home: Option<&Path>, named: Option<&Path>) -> Result<Option<Self>, Failure> {
        let usual = home.map(|home| home.join(".vault"));
        let file = || home.map(|home| Self::File(TokenFile::in_home(home)));
        let Some(path) = named.or(usual.as_deref()) else { return Ok(None) };
        let wrong =
            |problem: String| Failure::local(format!("the client's configuration {}: {problem}", path.display()));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => return Ok(file()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let mut program = None;
        for (key, value) in hcl::texts(&text).map_err(wrong)? {
            match key.as_str() {
                "token_helper" => program = Some(value),
                other => return Err(wrong(format!("unknown key {other:?}; it takes token_helper"))),
            }
        }
        let words: Vec<String> = program.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        Ok(if words.is_empty() { file() } else { Some(Self::Program(words)) })
    }

    /// The token, or nothing if none is kept.
    pub(crate) fn read(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::File(file) => file.read(),
            Self::Program(words) => call(words, "get", "").map(Some),
        }
    }

    /// Keeps a token in place of the one before.
    pub(crate) fn write(&self, token: &str) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.write(token),
            Self::Program(words) => call(words, "store", token).map(drop),
        }
    }
}

fn call(words: &[String], verb: &str, input: &str) -> Result<String, Failure> {
    let name = words.first().map(String::as_str).unwrap_or_default();
    let failed = |problem: &dyn std::fmt::Display| Failure::local(format!("the token helper {name} {verb}: {problem}"));
    let mut child = Command::new(name)
        .args(words.get(1..).unwrap_or_default())
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // A helper need not read what it does not want.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(&error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| failed(&"its answer is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::TokenHelper;

    #[test]
    fn a_program_keeps_the_token_where_one_is_named() {
        let home = tempfile::tempdir().unwrap();
        let (script, kept) = (home.path().join("helper"), home.path().join("kept"));
        std::fs::write(&script, format!("case $1 in store) cat >{0};; get) cat {0};; esac", kept.display())).unwrap();
        let text = format!("# comment\ntoken_helper = \"/bin/sh {}\"\n", script.display());
        std::fs::write(home.path().join(".vault"), text).unwrap();
        let helper = TokenHelper::configured(Some(home.path()), None).unwrap().unwrap();
        assert!(matches!(helper, TokenHelper::Program(_)));
        assert!(helper.read().is_err(), "a helper that fails is not passed over");
        helper.write("s.t").unwrap();
        assert_eq!(helper.read().unwrap().as_deref(), Some("s.t"));
    }

    #[test]
    fn without_a_program_it_is_the_file_and_an_unknown_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let configured = |named| TokenHelper::configured(Some(home.path()), named);
        assert!(matches!(configured(None), Ok(Some(TokenHelper::File(_)))));
        let named = home.path().join("other");
        assert!(configured(Some(&named)).is_err(), "a file that is named must be there");
        std::fs::write(&named, "helper = \"x\"").unwrap();
        assert!(configured(Some(&named)).is_err());
    }
}
