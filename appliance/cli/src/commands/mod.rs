//! The commands, and how one is found and run.

mod audit;
mod auth;
mod generate_root;
mod hsm;
mod init;
mod journal;
mod kv;
mod kv_metadata;
mod kv_mount;
mod kv_versions;
mod lease;
mod logical;
mod login;
mod mounts;
mod namespace;
mod operator;
mod path_help;
mod policy;
mod refused;
mod rekey;
mod secrets;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod token;
mod unseal;

use crate::call::Call;
use crate::command::{self, Command, Output};
use crate::completion::shells;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::{self, Line};
use crate::offline::Offline;
use crate::output::Format;
use crate::settings::Settings;
use crate::table;

/// Every command, in the order of its group.
static COMMANDS: [&[Command]; 23] = [
    &status::COMMANDS,
    &logical::COMMANDS,
    &login::COMMANDS,
    &path_help::COMMANDS,
    &kv::COMMANDS,
    &kv_versions::COMMANDS,
    &kv_metadata::COMMANDS,
    &token::COMMANDS,
    &secrets::COMMANDS,
    &auth::COMMANDS,
    &policy::COMMANDS,
    &audit::COMMANDS,
    &lease::COMMANDS,
    &namespace::COMMANDS,
    &operator::COMMANDS,
    &init::COMMANDS,
    &unseal::COMMANDS,
    &rekey::COMMANDS,
    &snapshot::COMMANDS,
    &journal::COMMANDS,
    &generate_root::COMMANDS,
    &hsm::COMMANDS,
    &login::PRINT,
];

/// What the words that only group other commands stand for.
static GROUPS: [(&str, &str); 16] = [
    ("audit", "Interact with audit devices"),
    ("auth", "Interact with auth methods"),
    ("hsm", "See what the HSM does for a server"),
    ("kv", "Interact with the key-value store"),
    ("kv metadata", "Interact with the metadata of keys"),
    ("lease", "Interact with leases"),
    ("namespace", "Interact with namespaces"),
    ("operator", "Perform operator-specific tasks"),
    ("operator journal", "Make the store again as it was"),
    ("operator raft", "The names that scripts for Vault use"),
    ("operator raft snapshot", "Save and restore the whole store"),
    ("operator snapshot", "Save and restore the whole store"),
    ("policy", "Interact with policies"),
    ("print", "Print what the client would use"),
    ("secrets", "Interact with secrets engines"),
    ("token", "Interact with tokens"),
];

pub(crate) fn all() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().copied().flatten()
}

/// Runs the command that the arguments name and returns the exit code.
pub(crate) fn dispatch(
    arguments: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
    offline: &Offline,
    console: &mut Console<'_>,
) -> u8 {
    if let [verb @ ("-autocomplete-install" | "-autocomplete-uninstall")] =
        arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice()
    {
        return conclude(completion(verb, environment), console);
    }
    let arguments = flags::behind_command(&command::global_flags(), arguments);
    let found = all().filter(|command| starts_with(&arguments, command.name)).max_by_key(|command| command.name.len());
    let outcome = match found {
        Some(command) => execute(command, &arguments, environment, offline, console),
        None => explain(&arguments, console),
    };
    conclude(outcome, console)
}

/// Turns the completion of the user's shells on or off.
fn completion(verb: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), Failure> {
    let home = environment("HOME").ok_or_else(|| Failure::local("HOME is not set"))?;
    let program = std::env::current_exe().map_err(|error| Failure::local(format!("where is this program? {error}")))?;
    match verb {
        "-autocomplete-install" => shells::install(home.as_ref(), &program),
        _ => shells::uninstall(home.as_ref(), &program),
    }
}

/// Says what went wrong, and gives the exit code.
fn conclude(outcome: Result<(), Failure>, console: &mut Console<'_>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(Failure::Quiet(code)) => code,
        Err(Failure::Shown(text)) => u8::from(console.line(&text).is_err()),
        Err(Failure::Local(message)) => {
            console.warn(&message);
            1
        }
        Err(Failure::Server(message)) => {
            console.warn(&message);
            2
        }
    }
}

fn starts_with(arguments: &[String], name: &str) -> bool {
    let words = name.split(' ');
    words.clone().count() <= arguments.len() && words.zip(arguments).all(|(word, argument)| word == argument)
}

fn execute(
    command: &'static Command,
    arguments: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
    offline: &Offline,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let own = arguments.get(command.name.split(' ').count()..).unwrap_or_default();
    let (flags, arguments) = match flags::parse(&command.all_flags(), own)? {
        Line::Help => return console.raw(&command.help()),
        Line::Run(flags, arguments) => (flags, arguments),
    };
    command.arity.check(arguments.len())?;
    let format = match Settings::new(&flags, environment).text("format", "FORMAT") {
        Some(name) if command.output != Output::Sentences => Format::named(&name, command.name == "read")?,
        _ => Format::Table,
    };
    (command.run)(&mut Call { flags, arguments, console, format, environment, offline })
}

/// Help for a group of commands, or for all of them where the words mean nothing.
fn explain(arguments: &[String], console: &mut Console<'_>) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).take_while(|word| !word.starts_with('-')).collect();
    if let Some(refusal) = refused::refusal(&words) {
        return Err(Failure::Local(refusal));
    }
    let asked = arguments.iter().any(|argument| ["-h", "-help", "--help"].contains(&argument.as_str()));
    let group = (0..=words.len())
        .rev()
        .filter_map(|count| words.get(..count))
        .map(|words| words.join(" "))
        .find(|name| GROUPS.iter().any(|(group, _)| group == name))
        .unwrap_or_default();
    let known = group.split(' ').filter(|word| !word.is_empty()).count();
    if asked && known == words.len() {
        return console.raw(&listing(&group));
    }
    if let Some(unknown) = words.get(known) {
        let within = if group.is_empty() { "holdfast".to_owned() } else { format!("holdfast {group}") };
        console.warn(&format!("{within} has no command {unknown:?}.\n"));
    }
    console.warn(listing(&group).trim_end());
    // As the shell does for a command that there is not.
    Err(Failure::Quiet(if known == 0 { 127 } else { 1 }))
}

/// The commands of a group (the empty group holds all), one a line.
pub(crate) fn listing(group: &str) -> String {
    let prefix = if group.is_empty() { String::new() } else { format!("{group} ") };
    let below = |name: &str| name.strip_prefix(&prefix).filter(|rest| !rest.contains(' ')).map(str::to_owned);
    let commands = all().map(|command| (command.name, command.summary));
    let mut rows: Vec<Vec<String>> = commands
        .chain(GROUPS.iter().copied())
        .filter_map(|(name, summary)| Some(vec![format!("    {}", below(name)?), summary.to_owned()]))
        .collect();
    rows.sort();
    let (title, usage) = match group {
        "" => ("Commands", "<command> [options] [arguments]".to_owned()),
        group => ("Subcommands", format!("{group} <subcommand> [options] [arguments]")),
    };
    format!(
        "Usage: holdfast {usage}\n\n{title}:\n{}\n\nEach command explains itself with -help.\n",
        table::columns(&rows)
    )
}
