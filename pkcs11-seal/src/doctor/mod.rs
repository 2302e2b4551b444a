//! `holdfast hsm doctor`: whether an HSM does what this program, and the rules of its kind, expect of it.
//!
//! Nothing is left on the token: the trials use session keys. The seal key is used for a probe, as at a server's start. A
//! PIN is tried once.

mod attributes;
mod behaviour;
mod iv;

use std::fmt;
use std::time::{Duration, Instant};

use cryptoki::mechanism::Mechanism as Call;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;
use framework::{Json, Map};

use crate::config::Config;
use crate::entry::Entry;
use crate::error::Fault;
use crate::profile::Profile;

/// What the doctor thinks of one thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Not as the profile has it, but no danger.
    Differs,
    /// Unusable, or dangerous.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Differs => "differs",
            Self::Fail => "FAIL",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, and what to do about it.
    pub detail: String,
}

/// Everything that was looked at.
#[derive(Clone, Debug)]
pub struct Examination {
    /// The profile whose rules were applied.
    pub profile: &'static str,
    /// Library and token, in their own words.
    pub library: String,
    /// In the order of the examination.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.verdict != Verdict::Fail)
    }

    /// `{profile, library, passed, findings: [{check, verdict, detail}]}`; verdicts are `ok`, `differs` and `fail`.
    pub fn to_json(&self) -> Json {
        let finding = |finding: &Finding| {
            object([
                ("check", Json::from(finding.check)),
                ("verdict", Json::from(finding.verdict.to_string().to_lowercase())),
                ("detail", Json::from(finding.detail.as_str())),
            ])
        };
        object([
            ("profile", Json::from(self.profile)),
            ("library", Json::from(self.library.as_str())),
            ("passed", Json::from(self.passed())),
            ("findings", self.findings.iter().map(finding).collect()),
        ])
    }
}

impl fmt::Display for Examination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\njudged by the profile {:?}\n", self.library, self.profile)?;
        for Finding { check, verdict, detail } in &self.findings {
            writeln!(f, "{verdict:<8} {check:<22} {detail}")?;
        }
        let failed = self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
        match failed {
            0 => write!(f, "\npassed"),
            failed => write!(f, "\n{failed} of {} checks failed", self.findings.len()),
        }
    }
}

fn object<const N: usize>(fields: [(&str, Json); N]) -> Json {
    Json::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<String, Json>>())
}

type Seen = Result<(Verdict, String), Fault>;

/// What is examined.
struct Patient<'c> {
    config: &'c Config,
    entry: Entry,
    /// Whose rules it is judged by.
    rules: &'static Profile,
    /// Keeps the scratch key alive.
    session: Session,
    /// AES-256, of this session only.
    scratch: ObjectHandle,
}

type Look = fn(&Patient<'_>) -> Seen;

const CHECKS: [(&str, Look); 17] = [
    ("read-only sessions", behaviour::read_only_sessions),
    ("sessions", behaviour::sessions),
    ("second login", behaviour::second_login),
    ("mechanisms", behaviour::mechanisms),
    ("random numbers", behaviour::random),
    ("IV by the caller", iv::of_the_caller),
    ("IV left to the token", iv::left_to_the_token),
    ("IVs are fresh", iv::fresh),
    ("authentication", iv::authentication),
    ("longest value", iv::longest),
    ("encryption in parts", iv::parts),
    ("attributes as asked", attributes::as_asked),
    ("value withheld", attributes::value_withheld),
    ("defaults", attributes::defaults),
    ("public secret keys", attributes::public_secrets),
    ("seal key", behaviour::seal_key),
    ("latency", behaviour::latency),
];

/// Looks at everything; by the rules of `rules`, or of the profile that fits.
pub fn examine(config: &Config, rules: Option<&'static Profile>) -> Examination {
    let mut examination =
        Examination { profile: rules.map_or("", |rules| rules.name), library: String::new(), findings: Vec::new() };
    let mut add = |check, seen: Seen| {
        let (verdict, detail) = seen.unwrap_or_else(|fault| (Verdict::Fail, fault.message));
        examination.findings.push(Finding { check, verdict, detail });
    };
    let entered = Entry::open(config).and_then(|entry| {
        let rules = rules.or_else(|| Profile::named(entry.profile.judged_as)).unwrap_or(entry.profile);
        let session = entry.door.session()?;
        let scratch = session.generate_key(&Call::AesKeyGen, &scratch_template("holdfast doctor"))?;
        Ok(Patient { config, entry, rules, session, scratch })
    });
    let patient = match entered {
        Ok(patient) => patient,
        Err(fault) => {
            add("way in", Err(fault));
            return examination;
        }
    };
    let token = format!("token {:?} entered, login made, a session key made", patient.entry.token.label());
    add("way in", Ok((Verdict::Ok, token)));
    for (check, look) in CHECKS {
        add(check, look(&patient));
    }
    (examination.profile, examination.library) = (patient.rules.name, patient.entry.library.clone());
    examination
}

/// A key of the session only, otherwise like the seal key.
fn scratch_template(label: &str) -> Vec<Attribute> {
    vec![
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(label.as_bytes().to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
    ]
}

/// As expected, or not.
fn expect(expected: bool, detail: impl Into<String>) -> Seen {
    Ok((if expected { Verdict::Ok } else { Verdict::Differs }, detail.into()))
}

/// The middle of several runs.
fn median(mut work: impl FnMut() -> Result<(), Fault>) -> Result<Duration, Fault> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let since = Instant::now();
        work()?;
        times.push(since.elapsed());
    }
    times.sort();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
