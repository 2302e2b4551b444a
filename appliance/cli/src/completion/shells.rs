//! Completion in the user's shells: a line in the start-up files of bash and zsh, a file of its own for fish. Each has the
//! shell run this program with the command line in `COMP_LINE`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Start-up files of bash; the first that is there is taken.
const BASH: [&str; 4] = [".bashrc", ".bash_profile", ".bash_login", ".profile"];

/// A shell's file and the text in it that turns completion on.
struct Place {
    path: PathBuf,
    text: String,
    /// Whether the file is nothing but this text.
    whole: bool,
}

/// Turns completion on for every shell that has a start-up file in `home`.
pub(crate) fn install(home: &Path, program: &Path) -> Result<(), Failure> {
    let places = places(home, program)?;
    if let Some(place) = places.iter().find(|place| place.read().is_some_and(|text| text.contains(&place.text))) {
        return Err(Failure::local(format!("already installed in {}", place.path.display())));
    }
    places.iter().try_for_each(Place::add)
}

/// Takes out what [`install`] put in.
pub(crate) fn uninstall(home: &Path, program: &Path) -> Result<(), Failure> {
    let places = places(home, program)?;
    let installed: Vec<_> =
        places.iter().filter(|place| place.read().is_some_and(|text| text.contains(&place.text))).collect();
    if installed.is_empty() {
        return Err(Failure::local("completion is not installed"));
    }
    installed.into_iter().try_for_each(Place::remove)
}

fn places(home: &Path, program: &Path) -> Result<Vec<Place>, Failure> {
    let name = program.file_name().and_then(OsStr::to_str);
    let (Some(name), Some(path)) = (name, program.to_str().filter(|path| !path.contains(['\'', '\n']))) else {
        return Err(Failure::local(format!("the path {program:?} cannot be written into a shell's start-up file")));
    };
    let bash = BASH.iter().map(|file| home.join(file)).find(|path| path.is_file());
    let bash = bash.map(|file| Place { path: file, text: format!("complete -C '{path}' {name}\n"), whole: false });
    let zsh = Some(home.join(".zshrc")).filter(|path| path.is_file()).map(|file| Place {
        path: file,
        text: format!("autoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C '{path}' {name}\n"),
        whole: false,
    });
    let fish = Some(home.join(".config/fish")).filter(|path| path.is_dir()).map(|folder| Place {
        path: folder.join(format!("completions/{name}.fish")),
        text: format!(
            "function __complete_{name}\n    set -lx COMP_LINE (commandline -cp)\n    '{path}'\nend\n\
             complete -f -c {name} -a \"(__complete_{name})\"\n"
        ),
        whole: true,
    });
    let places: Vec<_> = [bash, zsh, fish].into_iter().flatten().collect();
    if places.is_empty() {
        let none = "found no shell to install completion for: no start-up file of bash, zsh or fish";
        return Err(Failure::local(format!("{none} in {}", home.display())));
    }
    Ok(places)
}

impl Place {
    fn read(&self) -> Option<String> {
        std::fs::read_to_string(&self.path).ok()
    }

    fn add(&self) -> Result<(), Failure> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) if text.is_empty() || text.ends_with('\n') => text,
            Ok(text) => format!("{text}\n"),
            Err(error) if self.whole && error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.failure("read", &error)),
        };
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| self.failure("write", &error))?;
        }
        let text = if self.whole { self.text.clone() } else { format!("{text}{}", self.text) };
        std::fs::write(&self.path, text).map_err(|error| self.failure("write", &error))
    }

    fn remove(&self) -> Result<(), Failure> {
        let changed = match self.whole {
            true => std::fs::remove_file(&self.path),
            false => std::fs::read_to_string(&self.path)
                .and_then(|text| std::fs::write(&self.path, text.replace(&self.text, ""))),
        };
        changed.map_err(|error| self.failure("change", &error))
    }

    fn failure(&self, attempt: &str, error: &std::io::Error) -> Failure {
        Failure::local(format!("cannot {attempt} {}: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{install, uninstall};

    #[test]
    fn start_up_files_are_as_before_once_it_is_taken_out() {
        let home = tempfile::tempdir().unwrap();
        let program = Path::new("/opt/hold fast/holdfast");
        assert!(install(home.path(), program).is_err(), "there is no shell");
        let files = [(".bashrc", "alias a=b\n"), (".zshrc", "")];
        files.iter().for_each(|(name, text)| std::fs::write(home.path().join(name), text).unwrap());
        let fish = home.path().join(".config/fish/completions/holdfast.fish");
        std::fs::create_dir_all(home.path().join(".config/fish")).unwrap();

        install(home.path(), program).unwrap();
        let bash = std::fs::read_to_string(home.path().join(".bashrc")).unwrap();
        assert_eq!(bash, "alias a=b\ncomplete -C '/opt/hold fast/holdfast' holdfast\n");
        assert!(std::fs::read_to_string(&fish).unwrap().contains("complete -f -c holdfast"));
        assert!(install(home.path(), program).is_err(), "twice");

        uninstall(home.path(), program).unwrap();
        for (name, text) in files {
            assert_eq!(std::fs::read_to_string(home.path().join(name)).unwrap(), text);
        }
        assert!(!fish.exists() && uninstall(home.path(), program).is_err());
    }
}
