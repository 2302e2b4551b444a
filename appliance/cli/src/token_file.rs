//! `~/.vault-token`: the token between two commands.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The file that holds the token in the clear, readable by its owner alone.
pub(crate) struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    pub(crate) fn in_home(home: &Path) -> Self {
        Self { path: home.join(".vault-token") }
    }

    /// The token, or nothing if there is no such file.
    pub(crate) fn read(&self) -> Result<Option<String>, Failure> {
        match std::fs::read_to_string(&self.path) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failure("read", &error)),
        }
    }

    /// Replaces the token in one step: a reader sees the old token or the new one, and nobody else ever sees either.
    pub(crate) fn write(&self, token: &str) -> Result<(), Failure> {
        let (draft, mut file) = self.draft()?;
        let written = file
            .write_all(token.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&draft, &self.path));
        written.map_err(|error| {
            let _left_behind = std::fs::remove_file(&draft);
            self.failure("write", &error)
        })
    }

    /// A new file beside the real one, made with its final mode so that it is never readable by others.
    fn draft(&self) -> Result<(PathBuf, File), Failure> {
        let mut attempt = 0_u32;
        loop {
            let draft = self.path.with_extension(format!("{}.{attempt}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft) {
                Ok(file) => return Ok((draft, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
                Err(error) => return Err(self.failure("write", &error)),
            }
        }
    }

    fn failure(&self, attempt: &str, error: &std::io::Error) -> Failure {
        Failure::local(format!("cannot {attempt} the token file {}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::TokenFile;

    #[test]
    fn keeps_one_token_for_the_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = TokenFile::in_home(home.path());
        assert_eq!(file.read().unwrap(), None);
        file.write("first").unwrap();
        file.write("second").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some("second"));
        let mode = std::fs::metadata(home.path().join(".vault-token")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no draft is left behind");
    }
}
