//! Commands of the reference clients that are not here, each with the reason: a script that calls one learns why it ends.

/// What is refused, with all below it, and why.
const REFUSED: [(&str, &str); 25] = [
    ("agent", "\"bao agent\" and \"vault agent\" work with this server as they are"),
    ("proxy", "\"bao proxy\" and \"vault proxy\" work with this server as they are"),
    ("debug", "the server shows nothing of its inside"),
    ("events", "the server has no events"),
    ("monitor", "the log goes where the server's configuration says"),
    ("pki", "there is no pki engine yet"),
    ("plugin", "the engines are built in, and no foreign code runs in the server"),
    ("ssh", "there is no ssh engine yet"),
    ("transform", "there is no transform engine"),
    ("transit", "there is no transit engine yet"),
    ("version-history", "the server keeps none"),
    ("namespace lock", "there is no lock on a namespace's API"),
    ("namespace unlock", "there is no lock on a namespace's API"),
    ("namespace scan", "there is the root namespace alone"),
    ("namespace seal", "namespaces have no seals of their own"),
    ("namespace unseal", "namespaces have no seals of their own"),
    ("namespace seal-status", "namespaces have no seals of their own"),
    ("namespace delete-sealed", "namespaces have no seals of their own"),
    ("operator diagnose", "the server says at its start what is wrong; \"holdfast hsm doctor\" looks at the HSM"),
    ("operator members", "there is one node"),
    ("operator migrate", "storage of other servers cannot be read"),
    (
        "operator raft",
        "there is one node, and its storage is not raft; \"holdfast operator snapshot\" saves and restores it",
    ),
    ("operator usage", "nothing is counted"),
    ("operator utilization", "nothing is counted"),
    ("operator validate-config", "\"holdfast server -config=FILE\" checks the configuration before it starts anything"),
];

/// The refusal for a command line, if its first words are such a command.
pub(super) fn refusal(words: &[&str]) -> Option<String> {
    let starts = |name: &str| name.split(' ').enumerate().all(|(index, word)| words.get(index) == Some(&word));
    let (name, reason) = REFUSED.iter().find(|(name, _)| starts(name))?;
    Some(format!("\"holdfast {name}\" is not supported: {reason}."))
}
