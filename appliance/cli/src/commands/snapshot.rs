//! `operator snapshot save|restore|inspect`, and the same under `operator raft`, as scripts for Vault call it.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::call::Call;
use crate::client::Ask;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

const PATH: &str = "sys/storage/raft/snapshot";
const FORCED: &str = "sys/storage/raft/snapshot-force";

/// What a snapshot holds, in the order in which it is shown.
const ORDER: [&str; 8] = ["id", "version", "sequence", "created", "identity", "records", "transactions", "bytes"];

static RESTORE_FLAGS: [Flag; 2] = [
    Flag::new(
        "force",
        Kind::Switch,
        "Take a snapshot that this server's seal does not open. Its own seal must unseal the server afterwards.",
    ),
    Flag::new(
        "config",
        Kind::Many,
        "Without a server: put the snapshot in place of the data that this configuration file names. May be given several \
         times, as to `holdfast server`.",
    ),
];

pub(super) static COMMANDS: [Command; 6] = [
    save("operator snapshot save"),
    restore("operator snapshot restore"),
    inspect("operator snapshot inspect"),
    save("operator raft snapshot save"),
    restore("operator raft snapshot restore"),
    inspect("operator raft snapshot inspect"),
];

const fn save(name: &'static str) -> Command {
    Command {
        name,
        arguments: "FILE",
        arity: Arity::Exactly(1),
        summary: "Save a snapshot of the whole store into a file",
        about: "\n  The server goes on meanwhile. The file holds ciphertext and sealed names: without the seal\n  it is of no use, so \
                back up the HSM's key, or keep the shares, as well. It is read back\n  and checked before it gets its name.",
        output: Output::Sentences,
        flags: &[],
        run: run_save,
    }
}

const fn restore(name: &'static str) -> Command {
    Command {
        name,
        arguments: "FILE",
        arity: Arity::Exactly(1),
        summary: "Replace the whole store by a snapshot",
        about: "\n  The server checks the snapshot, puts it in place, and starts anew: sealed, or unsealed by its\n  HSM. Whatever was \
                written after the snapshot was taken is gone. The data that was there\n  before lies in the folder `replaced` of \
                the data directory until the next restore;\n  `operator snapshot undo` puts it back.",
        output: Output::Formats,
        flags: &RESTORE_FLAGS,
        run: run_restore,
    }
}

const fn inspect(name: &'static str) -> Command {
    Command {
        name,
        arguments: "FILE",
        arity: Arity::Exactly(1),
        summary: "Check a snapshot file and tell what it holds",
        about: "\n  Needs no server and no key. Layout, digests and the journal's chain are checked; that every\n  record is as it \
                was written, only the server that can unseal it finds out.",
        output: Output::Fields,
        flags: &[],
        run: run_inspect,
    }
}

fn run_save(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let file = PathBuf::from(call.argument(0));
    let client = call.client()?;
    let failed = |error: &dyn std::fmt::Display| Failure::server(format!("Error taking the snapshot: {error}"));
    let partial = Partial::new(&file).map_err(|error| failed(&error))?;
    let mut bytes = &partial.file;
    client.download(&Ask::get(PATH), &mut bytes).map_err(|fault| fault.during("Error taking the snapshot"))?;
    partial.file.sync_all().map_err(|error| failed(&error))?;
    (call.offline.inspect)(&partial.path).map_err(|error| failed(&format!("what arrived is not whole: {error}")))?;
    partial.complete(&file).map_err(|error| failed(&error))
}

/// A file that gets its name when it is whole, and goes otherwise.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn new(target: &Path) -> std::io::Result<Self> {
        let name = target.file_name().ok_or(std::io::ErrorKind::IsADirectory)?;
        let path = target.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }

    fn complete(self, target: &Path) -> std::io::Result<()> {
        fs::rename(&self.path, target)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _gone_if_complete = fs::remove_file(&self.path);
    }
}

fn run_restore(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let path = PathBuf::from(call.argument(0));
    let force = call.flags.on("force");
    if call.flags.given("config") {
        if force {
            return Err(Failure::local("-force is for a running server; offline no seal is asked"));
        }
        let config: Vec<PathBuf> = call.flags.many("config").iter().map(PathBuf::from).collect();
        let held = (call.offline.restore)(&config, &path).map_err(Failure::local)?;
        call.say("Success! The snapshot is in place; its own seal unseals it.\n")?;
        return call.show_object(&held, &ORDER);
    }
    let file = File::open(&path)
        .map_err(|error| Failure::server(format!("Error opening snapshot file: {}: {error}", path.display())))?;
    let ask = Ask::post_bytes(if force { FORCED } else { PATH });
    call.client()?.upload(&ask, &file).map_err(|fault| fault.during("Error installing the snapshot"))
}

fn run_inspect(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let held = (call.offline.inspect)(Path::new(call.argument(0))).map_err(Failure::local)?;
    call.show_object(&held, &ORDER)
}
