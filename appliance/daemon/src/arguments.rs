//! The command lines that need no server: `server`, `hsm`, `version`. Everything else is the client's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cli::Beside;
use pkcs11_seal::Profile;

/// What was asked for.
pub(crate) enum Invocation {
    Server(ServerOptions),
    /// `role server …`: started by the monitor only.
    ServerRole(ServerOptions),
    /// `role hsm …`: started by the monitor only.
    HsmRole(HsmRole),
    Hsm(HsmCommand),
    Compliance(ComplianceCommand),
    Version,
    Help,
    Client,
}

/// Options of `holdfast server`.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerOptions {
    pub(crate) config: Vec<PathBuf>,
    pub(crate) dev: Option<DevOptions>,
    /// Nothing is loaded, and only what mends a storage is served.
    pub(crate) recovery: bool,
    pub(crate) log_level: Option<String>,
}

/// Options of `holdfast server -dev`.
#[derive(Clone, Debug)]
pub(crate) struct DevOptions {
    pub(crate) root_token: Option<String>,
    pub(crate) address: SocketAddr,
}

/// `role hsm …`.
pub(crate) struct HsmRole {
    pub(crate) options: ServerOptions,
    /// Name of the seal whose HSM it is.
    pub(crate) seal: String,
    /// Exit code of an earlier one whose PIN was refused.
    pub(crate) pin_refused: Option<u8>,
}

/// `holdfast hsm …`.
pub(crate) struct HsmCommand {
    pub(crate) verb: HsmVerb,
    pub(crate) config: Vec<PathBuf>,
    /// Name of the seal stanza; the first, if there is none.
    pub(crate) seal: Option<String>,
    pub(crate) json: bool,
    pub(crate) dry_run: bool,
    /// By whose rules the doctor judges.
    pub(crate) profile: Option<&'static Profile>,
    /// How long is measured.
    pub(crate) time: Duration,
    /// Threads that are measured; those of a server, if there is no number.
    pub(crate) threads: Option<usize>,
}

/// `holdfast compliance syscalls`.
#[derive(Debug, Default)]
pub(crate) struct ComplianceCommand {
    /// One role only.
    pub(crate) role: Option<String>,
    pub(crate) json: bool,
}

pub(crate) enum HsmVerb {
    Init,
    Status,
    Keys,
    Doctor,
    Bench,
}

/// The commands that are not the client's, for help and for completion.
pub(crate) const COMMANDS: [Beside; 8] = [
    Beside {
        name: "server",
        about: "Start a server: -config=FILE (several allowed) [-recovery], or -dev [-dev-root-token-id=T] [-dev-listen-address=A]",
        flags: &["-config", "-dev", "-dev-root-token-id", "-dev-listen-address", "-log-level"],
    },
    Beside {
        name: "hsm init",
        about: "Make the seal key in the HSM, once: -config=FILE [-seal=NAME] [-dry-run] [-format=json]",
        flags: &["-config", "-seal", "-format", "-dry-run"],
    },
    Beside {
        name: "hsm status",
        about: "Whether the HSM and its keys are as they should be: -config=FILE [-seal=NAME] [-format=json]",
        flags: &["-config", "-seal", "-format"],
    },
    Beside {
        name: "hsm keys",
        about: "The keys in the HSM: -config=FILE [-seal=NAME] [-format=json]",
        flags: &["-config", "-seal", "-format"],
    },
    Beside {
        name: "hsm doctor",
        about: "Whether the HSM does what is expected of it: -config=FILE [-seal=NAME] [-profile=P] [-format=json]",
        flags: &["-config", "-seal", "-format", "-profile"],
    },
    Beside {
        name: "hsm bench",
        about: "How fast the HSM wraps and unwraps: -config=FILE [-seal=NAME] [-duration=5s] [-threads=N] [-format=json]",
        flags: &["-config", "-seal", "-format", "-duration", "-threads"],
    },
    Beside {
        name: "compliance syscalls",
        about: "The seccomp rules with their reasons: [-role=monitor|server|hsm] [-format=json]",
        flags: &["-role", "-format"],
    },
    Beside { name: "version", about: "Print the version", flags: &[] },
];

/// The text of `holdfast -help`.
pub(crate) fn help() -> String {
    let own: String = COMMANDS.iter().map(|command| format!("    {:<19} {}\n", command.name, command.about)).collect();
    format!(
        "Usage: holdfast <command> [args]\n\nServer commands:\n{own}\nClient commands:\n{}\n\
         Completion in bash, zsh and fish: holdfast -autocomplete-install, -autocomplete-uninstall",
        cli::usage()
    )
}

impl Invocation {
    pub(crate) fn read(given: &[String]) -> Result<Self, String> {
        let given: Vec<&str> = given.iter().map(String::as_str).collect();
        match given.as_slice() {
            [] | ["-h" | "-help" | "--help" | "help"] => Ok(Self::Help),
            ["version" | "-version" | "--version" | "-v"] => Ok(Self::Version),
            ["server" | "hsm" | "compliance", "-h" | "-help" | "--help"] => Ok(Self::Help),
            ["server", rest @ ..] => ServerOptions::read(rest).map(Self::Server),
            ["role", "server", rest @ ..] => ServerOptions::read(rest).map(Self::ServerRole),
            ["role", "hsm", rest @ ..] => HsmRole::read(rest).map(Self::HsmRole),
            // The only one that asks a server.
            ["hsm", "coverage", ..] => Ok(Self::Client),
            ["hsm", rest @ ..] => HsmCommand::read(rest).map(Self::Hsm),
            ["compliance", rest @ ..] => ComplianceCommand::read(rest).map(Self::Compliance),
            _ => Ok(Self::Client),
        }
    }
}

/// A flag and its value: `-name=value` or `--name=value`.
fn split(argument: &str) -> Option<(&str, Option<&str>)> {
    let flag = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    Some(match flag.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (flag, None),
    })
}

/// The flags of a command line; a flag that takes a value may have it in the next argument.
fn flags<'a>(
    arguments: &[&'a str],
    command: &str,
    switches: &[&str],
    mut each: impl FnMut(&'a str, &'a str) -> Result<bool, String>,
) -> Result<(), String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let (name, value) = split(argument)
            .ok_or_else(|| format!("{command}: unexpected argument {argument:?}; see holdfast {command} -help"))?;
        let value = match value {
            Some(value) => value,
            None if switches.contains(&name) => "true",
            None => rest.next().ok_or_else(|| format!("{command}: the flag -{name} needs a value"))?,
        };
        if !each(name, value)? {
            return Err(format!("{command}: unknown flag -{name}; see holdfast {command} -help"));
        }
    }
    Ok(())
}

impl ServerOptions {
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut dev = false;
        let (mut root_token, mut address) = (None, None);
        flags(arguments, "server", &["dev", "recovery"], |name, value| {
            match name {
                "config" => options.config.push(value.into()),
                "log-level" => options.log_level = Some(value.to_owned()),
                "dev" => dev = value == "true",
                "recovery" => options.recovery = value == "true",
                "dev-root-token-id" => root_token = Some(value.to_owned()),
                "dev-listen-address" => {
                    let parsed = value.parse().map_err(|_| {
                        format!("server: -dev-listen-address={value} is not an address such as 127.0.0.1:8200")
                    })?;
                    address = Some(parsed);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if dev {
            if !options.config.is_empty() {
                return Err("server: -dev and -config contradict each other".to_owned());
            }
            if options.recovery {
                return Err("server: -dev and -recovery contradict each other".to_owned());
            }
            let address = address.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8200)));
            if !address.ip().is_loopback() {
                return Err(format!("server: a -dev server listens on a loopback address only, not {address}"));
            }
            options.dev = Some(DevOptions { root_token, address });
        } else if root_token.is_some() || address.is_some() {
            return Err("server: -dev-root-token-id and -dev-listen-address are for -dev".to_owned());
        }
        Ok(options)
    }

    /// The same options as arguments, for a role's command line.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = self.config.iter().map(|path| format!("-config={}", path.display())).collect();
        arguments.extend(self.log_level.iter().map(|level| format!("-log-level={level}")));
        arguments.extend(self.recovery.then(|| "-recovery".to_owned()));
        if let Some(dev) = &self.dev {
            arguments.push("-dev".to_owned());
            arguments.push(format!("-dev-listen-address={}", dev.address));
            arguments.extend(dev.root_token.iter().map(|token| format!("-dev-root-token-id={token}")));
        }
        arguments
    }
}

impl HsmRole {
    /// Its own flags come first: `-seal=NAME`, and `-pin-refused=CODE` if that is so.
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let (seal, mut rest) = match arguments {
            [first, rest @ ..] => (first.strip_prefix("-seal=").ok_or("role hsm: -seal is missing")?, rest),
            [] => return Err("role hsm: -seal is missing".to_owned()),
        };
        let refused = rest.first().and_then(|first| first.strip_prefix("-pin-refused="));
        if refused.is_some() {
            rest = rest.get(1..).unwrap_or_default();
        }
        let pin_refused = refused.map(|code| code.parse().map_err(|_| format!("-pin-refused={code}"))).transpose()?;
        Ok(Self { options: ServerOptions::read(rest)?, seal: seal.to_owned(), pin_refused })
    }
}

impl HsmCommand {
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let (verb, rest) = match arguments {
            ["init", rest @ ..] => (HsmVerb::Init, rest),
            ["status", rest @ ..] => (HsmVerb::Status, rest),
            ["keys", rest @ ..] => (HsmVerb::Keys, rest),
            ["doctor", rest @ ..] => (HsmVerb::Doctor, rest),
            ["bench", rest @ ..] => (HsmVerb::Bench, rest),
            _ => {
                return Err(
                    "hsm: write one of: hsm init, hsm status, hsm keys, hsm doctor, hsm bench; each with -config=FILE"
                        .to_owned(),
                );
            }
        };
        let mut command = Self {
            verb,
            config: Vec::new(),
            seal: None,
            json: false,
            dry_run: false,
            profile: None,
            time: Duration::from_secs(5),
            threads: None,
        };
        flags(rest, "hsm", &["dry-run"], |name, value| {
            match (name, value) {
                ("config", path) => command.config.push(path.into()),
                ("seal", name) => command.seal = Some(name.to_owned()),
                ("format", "json") => command.json = true,
                ("format", "table") => command.json = false,
                ("format", other) => return Err(format!("hsm: -format={other} is not supported: take json or table")),
                ("dry-run", _) if matches!(command.verb, HsmVerb::Init) => command.dry_run = value == "true",
                ("profile", name) if matches!(command.verb, HsmVerb::Doctor) => {
                    let message = || format!("hsm: -profile={name} is unknown: take one of {}", Profile::names());
                    command.profile = Some(Profile::named(name).ok_or_else(message)?);
                }
                ("duration", time) if matches!(command.verb, HsmVerb::Bench) => {
                    let parsed = framework::duration::parse(time).filter(|time| !time.is_zero());
                    command.time = parsed.ok_or_else(|| format!("hsm: -duration={time} is no duration such as 5s"))?;
                }
                ("threads", threads) if matches!(command.verb, HsmVerb::Bench) => {
                    let number = threads.parse().ok().filter(|threads| (1..=64).contains(threads));
                    command.threads = Some(number.ok_or_else(|| format!("hsm: -threads={threads} is not 1 to 64"))?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(command)
    }
}

impl ComplianceCommand {
    fn read(arguments: &[&str]) -> Result<Self, String> {
        let ["syscalls", rest @ ..] = arguments else {
            return Err("compliance: write compliance syscalls [-role=monitor|server|hsm] [-format=json]".to_owned());
        };
        let mut command = Self::default();
        flags(rest, "compliance", &[], |name, value| {
            match (name, value) {
                ("role", role) => command.role = Some(role.to_owned()),
                ("format", "json") => command.json = true,
                ("format", "table") => command.json = false,
                ("format", other) => return Err(format!("compliance: -format={other}: take json or table")),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, String> {
        Invocation::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_taken_with_one_dash_or_two_and_unknown_ones_refused() {
        let Ok(Invocation::Server(options)) = read("server -config=a --config b --log-level=debug") else { panic!() };
        assert_eq!(options.config, [PathBuf::from("a"), PathBuf::from("b")]);
        let Ok(Invocation::ServerRole(again)) = read(&format!("role server {}", options.arguments().join(" "))) else {
            panic!()
        };
        assert_eq!(again.config, options.config);
        for bad in [
            "server -nope",
            "server -config",
            "server x",
            "server -dev -config=a",
            "server -dev -recovery",
            "server -dev-root-token-id=x",
            "server -dev -dev-listen-address=0.0.0.0:1",
            "hsm",
            "hsm status -dry-run",
            "compliance",
            "compliance syscalls -format=xml",
            "hsm status -profile=cloudhsm",
            "hsm status -threads=2",
            "hsm bench -threads=0",
            "hsm doctor -profile=nobody",
            "role hsm",
            "role hsm -seal=a -pin-refused=x",
            "server -pin-refused=160",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
