//! `operator journal status|replay` and `operator snapshot undo`: a data directory without its server.

use std::path::PathBuf;

use crate::call::Call;
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

const CONFIG: Flag = Flag::new(
    "config",
    Kind::Many,
    "Configuration file of the server, which must not run. May be given several times, as to `holdfast server`.",
);

static CONFIG_ONLY: [Flag; 1] = [CONFIG];

static REPLAY_FLAGS: [Flag; 2] = [
    CONFIG,
    Flag::new(
        "at",
        Kind::Text,
        "The number of the last record that is to count, or a time such as 2026-11-24T20:15:00Z: then the last record that is \
         not younger.",
    ),
];

pub(super) static COMMANDS: [Command; 3] = [
    Command {
        name: "operator journal status",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Tell what the data can be made again as",
        about: "\n  Any record of the journal from the first to the last, and any time between them. How far that\n  goes back, \
                `journal_retention` in the storage stanza decides.",
        output: Output::Fields,
        flags: &CONFIG_ONLY,
        run: |call| {
            let span = (call.offline.span)(&config(call)?).map_err(Failure::local)?;
            call.show_object(&span, &["first_record", "first_time", "last_record", "last_time"])
        },
    },
    Command {
        name: "operator journal replay",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Make the data again as it was",
        about: "\n  From the newest snapshot before that moment, and the journal up to it. It is checked beside the\n  data before it \
                takes its place; `operator snapshot undo` puts back what was there.",
        output: Output::Fields,
        flags: &REPLAY_FLAGS,
        run: |call| {
            let at = call.flags.text("at").ok_or_else(|| Failure::local("-at is missing: a record or a time"))?;
            let moment = (call.offline.rewind)(&config(call)?, at).map_err(Failure::local)?;
            call.show_object(&moment, &["record", "time"])
        },
    },
    Command {
        name: "operator snapshot undo",
        arguments: "",
        arity: Arity::Exactly(0),
        summary: "Put back what the last restore or replay replaced",
        about: "\n  What is there now can be put back in the same way.",
        output: Output::Fields,
        flags: &CONFIG_ONLY,
        run: |call| {
            let done = (call.offline.undo)(&config(call)?).map_err(Failure::local)?;
            call.show_object(&done, &[])
        },
    },
];

fn config(call: &Call<'_, '_>) -> Result<Vec<PathBuf>, Failure> {
    match call.flags.many("config") {
        [] => Err(Failure::local("-config is missing: the configuration file of the server whose data it is")),
        files => Ok(files.iter().map(PathBuf::from).collect()),
    }
}
