//! The declaration of a command, and the help made from it.

use crate::call::Call;
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

/// How many arguments a command takes.
pub(crate) enum Arity {
    Exactly(usize),
    AtLeast(usize),
    /// From none up to this many.
    UpTo(usize),
}

impl Arity {
    /// Refuses a number of arguments outside the range, in the words of the reference client.
    pub(crate) fn check(&self, got: usize) -> Result<(), Failure> {
        let (few, many, expected) = match self {
            Self::Exactly(n) => (got < *n, got > *n, n.to_string()),
            Self::AtLeast(n) => (got < *n, false, format!(">{}", n.saturating_sub(1))),
            Self::UpTo(n) => (false, got > *n, format!("0-{n}")),
        };
        match (few, many) {
            (true, _) => Err(Failure::local(format!("Not enough arguments (expected {expected}, got {got})"))),
            (_, true) => Err(Failure::local(format!("Too many arguments (expected {expected}, got {got})"))),
            _ => Ok(()),
        }
    }
}

/// Which output flags a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// Fixed sentences only.
    Sentences,
    /// `-format`.
    Formats,
    /// `-format` and `-field`.
    Fields,
}

/// One command: what is typed, what it takes, what it says about itself, and what it does.
pub(crate) struct Command {
    /// The words that call it, such as `kv metadata get`.
    pub(crate) name: &'static str,
    /// The arguments as help shows them.
    pub(crate) arguments: &'static str,
    pub(crate) arity: Arity,
    /// One line for the list of commands.
    pub(crate) summary: &'static str,
    /// Further paragraphs for `-help`; may be empty.
    pub(crate) about: &'static str,
    pub(crate) output: Output,
    pub(crate) flags: &'static [Flag],
    pub(crate) run: fn(&mut Call<'_, '_>) -> Result<(), Failure>,
}

/// Flags every command has: where the server is and how to talk to it.
pub(crate) static HTTP: [Flag; 18] = [
    Flag::new(
        "address",
        Kind::Text,
        "Address of the server, from VAULT_ADDR if not given. The default is https://127.0.0.1:8200.",
    ),
    Flag::new(
        "agent-address",
        Kind::Text,
        "Address of an agent or a proxy to ask in place of the server (VAULT_AGENT_ADDR). Wins over -address.",
    ),
    Flag::new(
        "ca-cert",
        Kind::Text,
        "PEM file with the CA certificates to verify the server by (VAULT_CACERT). Wins over -ca-path.",
    ),
    Flag::new("ca-path", Kind::Text, "Folder of PEM files with CA certificates (VAULT_CAPATH)."),
    Flag::new(
        "client-cert",
        Kind::Text,
        "PEM file with the client certificate for TLS authentication (VAULT_CLIENT_CERT). Needs -client-key.",
    ),
    Flag::new("client-key", Kind::Text, "PEM file with the private key of the client certificate (VAULT_CLIENT_KEY)."),
    Flag::new(
        "disable-redirects",
        Kind::Switch,
        "Do not follow the one redirect that a standby server may answer with.",
    ),
    Flag::new(
        "header",
        Kind::Pairs,
        "Header to send with each request, as key=value. May be given several times. Names starting with X-Vault- are refused.",
    ),
    Flag::new("namespace", Kind::Text, "Namespace of the request (VAULT_NAMESPACE). -ns is the same.").alias("ns"),
    Flag::new("non-interactive", Kind::Switch, "Never ask at the terminal; fail instead."),
    Flag::new(
        "output-curl-string",
        Kind::Switch,
        "Print the request as a curl command instead of sending it. Secrets in it are printed too.",
    ),
    Flag::new(
        "output-policy",
        Kind::Switch,
        "Print the policy that the request needs instead of sending it. What the server must be asked first is sent.",
    ),
    Flag::new(
        "tls-server-name",
        Kind::Text,
        "Name to expect in the server's certificate and to send as SNI (VAULT_TLS_SERVER_NAME).",
    ),
    Flag::new(
        "tls-skip-verify",
        Kind::Switch,
        "Do not verify the server's certificate (VAULT_SKIP_VERIFY). Anybody in between can then read every secret.",
    ),
    Flag::new(
        "wrap-ttl",
        Kind::Duration,
        "Put the answer into a cubbyhole token that lives this long (VAULT_WRAP_TTL); `unwrap` gets it out.",
    ),
    // These are declared so that they are refused by name, with the reason, in settings.rs.
    Flag::new("policy-override", Kind::Switch, "Refused: there are no policies that could be overridden."),
    Flag::new("mfa", Kind::Many, "Refused: MFA credentials are not supported (VAULT_MFA)."),
    Flag::new("unlock-key", Kind::Text, "Refused: there is no lock on a namespace's API."),
];

static FORMAT: Flag = Flag::new(
    "format",
    Kind::Text,
    "Print the answer as table, json or yaml (VAULT_FORMAT). The default is table. `read` also takes raw.",
)
.offers(&["table", "json", "yaml", "raw"]);
static FIELD: Flag =
    Flag::new("field", Kind::Text, "Print only the field of this name, in table format without a line end.");

/// Flags that may also stand before the command's name.
pub(crate) fn global_flags() -> Vec<&'static Flag> {
    HTTP.iter().chain([&FORMAT, &FIELD]).collect()
}

impl Command {
    /// All flags the command takes.
    pub(crate) fn all_flags(&self) -> Vec<&'static Flag> {
        let output: &[&'static Flag] = match self.output {
            Output::Sentences => &[],
            Output::Formats => &[&FORMAT],
            Output::Fields => &[&FORMAT, &FIELD],
        };
        HTTP.iter().chain(output.iter().copied()).chain(self.flags).collect()
    }

    /// The text behind `-help`, with a final line end.
    pub(crate) fn help(&self) -> String {
        let arguments = if self.arguments.is_empty() { String::new() } else { format!(" {}", self.arguments) };
        let mut text = format!("Usage: holdfast {} [options]{arguments}\n\n", self.name);
        text.push_str(&wrap(&format!("{}.", self.summary), 2));
        if !self.about.is_empty() {
            text.push('\n');
            text.push_str(self.about.trim_matches('\n'));
            text.push('\n');
        }
        let own = |flag: &&'static Flag| self.flags.iter().any(|own| std::ptr::eq(own, *flag));
        let http = |flag: &&'static Flag| HTTP.iter().any(|shared| std::ptr::eq(shared, *flag));
        let (own_flags, shared): (Vec<_>, Vec<_>) = self.all_flags().into_iter().partition(own);
        let (http_flags, output_flags): (Vec<_>, Vec<_>) = shared.into_iter().partition(http);
        for (title, flags) in
            [("Command Options", own_flags), ("Output Options", output_flags), ("HTTP Options", http_flags)]
        {
            if flags.is_empty() {
                continue;
            }
            text.push_str(&format!("\n{title}:\n"));
            for flag in flags {
                text.push_str(&format!("\n  {}\n{}", flag.synopsis(), wrap(flag.help, 6)));
            }
        }
        text
    }
}

/// Breaks a paragraph into lines of at most 78 columns, each indented and ended.
pub(crate) fn wrap(paragraph: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in paragraph.split_whitespace() {
        let width = word.chars().count();
        if column != 0 && column + 1 + width > 78 {
            text.push('\n');
            column = 0;
        }
        if column == 0 {
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
    }
    text.push('\n');
    text
}
