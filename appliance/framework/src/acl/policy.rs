//! One policy, from its text.

use std::time::Duration;

use super::capability::Capabilities;
use super::limits::{Limits, Parameters};
use super::template::{Template, Values};
use crate::hcl::{self, Block, Body, ParseError, Reader, Value};
use crate::{Error, Json, Map, Timestamp};

/// One policy: parsed once, to be compiled for many tokens.
#[derive(Clone, Debug)]
pub struct Policy {
    name: String,
    text: String,
    pub(super) rules: Vec<Rule>,
    pub(super) root: bool,
    pub(super) values: Values,
    expires: Option<Timestamp>,
}

/// What a policy says about one path.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) path: Template,
    pub(super) capabilities: Capabilities,
    /// Boxed because few rules have any.
    pub(super) limits: Option<Box<Limits>>,
    pub(super) expires: Option<Timestamp>,
}

impl Policy {
    /// Parses a policy in HCL or JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] with a message that begins with `failed to parse policy:`, names the path where there is one, and
    /// may be shown to the client.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let failed = |message: String| Error::invalid(format!("failed to parse policy: {message}"));
        let body = hcl::parse(text).map_err(|error| failed(error.to_string()))?;
        let rules = rules(&body).map_err(|Unusable(message)| failed(message))?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            rules,
            root: false,
            values: Values::default(),
            expires: None,
        })
    }

    /// The policy `root`, which allows everything. No text can say that, whatever name it is parsed under.
    pub fn root() -> Self {
        Self {
            name: "root".to_owned(),
            text: String::new(),
            rules: Vec::new(),
            root: true,
            values: Values::default(),
            expires: None,
        }
    }

    /// The same, but in force only before this moment.
    pub fn until(self, expires: Option<Timestamp>) -> Self {
        Self { expires, ..self }
    }

    /// The same, with these values filled into its templates.
    pub fn filled_with(self, values: Values) -> Self {
        Self { values, ..self }
    }

    /// From when on it says nothing.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Whether it says something at this moment.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// The text of the policy `default`, which covers what Vault's covers.
    pub fn default_text() -> &'static str {
        include_str!("default.hcl")
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a path holds `{{…}}`, so that the policy means something else for each entity.
    pub fn templated(&self) -> bool {
        self.rules.iter().any(|rule| rule.path.templated())
    }
}

/// What Vault or OpenBao have and this server does not.
const REFUSED: [&str; 5] = [
    "control_group",
    "mfa_methods",
    "pagination_limit",
    "list_scan_response_keys_filter_path",
    "subscribe_event_types",
];

/// Why a policy is refused, for the client.
struct Unusable(String);

impl From<ParseError> for Unusable {
    fn from(error: ParseError) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Unusable {
    fn from(message: String) -> Self {
        Self(message)
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, Unusable> {
    Err(Unusable(message.into()))
}

fn rules(body: &Body) -> Result<Vec<Rule>, Unusable> {
    let mut top = body.reader("the policy");
    // Vault takes a name here and does not use it.
    top.text("name")?;
    let blocks = top.blocks("path", 1)?;
    known_keys_only(&top)?;
    let named = |block: &Block<'_>, Unusable(message)| Unusable(format!("path {:?}: {message}", block.label()));
    blocks.iter().map(|block| rule(block).map_err(|error| named(block, error))).collect()
}

fn known_keys_only(reader: &Reader<'_>) -> Result<(), Unusable> {
    match reader.unknown() {
        None => Ok(()),
        Some((item, _)) if REFUSED.contains(&item.key.as_str()) => {
            refuse(format!("{:?} on line {} is not supported by this server", item.key, item.at.line))
        }
        Some((item, meant)) => {
            let hint = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            refuse(format!("invalid key {:?} on line {}{hint}", item.key, item.at.line))
        }
    }
}

fn rule(block: &Block<'_>) -> Result<Rule, Unusable> {
    if block.label().contains("+*") {
        return refuse("invalid use of wildcards ('+*' is forbidden)");
    }
    let path = Template::parse(block.label())?;
    let mut reader = block.body.reader("this path");
    reader.text("comment")?;
    let expires = match reader.text("expiration")?.filter(|text| !text.is_empty()).map(absolute_time) {
        Some(None) => return refuse("invalid expiration time: give RFC 3339 or seconds since 1970"),
        expires => expires.flatten(),
    };
    let capabilities = granted(reader.text("policy")?, reader.strings("capabilities")?)?;
    let limits = limits(&mut reader)?;
    known_keys_only(&reader)?;
    // Where nothing is granted there is nothing to limit.
    let limits = limits.filter(|_| !capabilities.contains(Capabilities::DENY));
    Ok(Rule { path, capabilities, limits, expires })
}

fn limits(reader: &mut Reader<'_>) -> Result<Option<Box<Limits>>, Unusable> {
    let limits = Limits {
        min_wrapping_ttl: reader.duration("min_wrapping_ttl")?.filter(|ttl| *ttl > Duration::ZERO),
        max_wrapping_ttl: reader.duration("max_wrapping_ttl")?.filter(|ttl| *ttl > Duration::ZERO),
        allowed: parameters(reader, "allowed_parameters")?,
        denied: parameters(reader, "denied_parameters")?,
        required: required(reader)?,
    };
    if let (Some(min), Some(max)) = (limits.min_wrapping_ttl, limits.max_wrapping_ttl)
        && max < min
    {
        return refuse("max_wrapping_ttl cannot be less than min_wrapping_ttl");
    }
    Ok(if limits == Limits::default() { None } else { Some(Box::new(limits)) })
}

/// The old `policy = "write"` and the list of capabilities, together; `deny` among them is all there is.
fn granted(old_style: Option<&str>, listed: Option<Vec<&str>>) -> Result<Capabilities, String> {
    let implied: &[&str] = match old_style {
        None | Some("") => &[],
        Some("deny") => &["deny"],
        Some("read") => &["read", "list"],
        Some("write") => &["create", "read", "update", "delete", "list"],
        Some("sudo") => &["create", "read", "update", "delete", "list", "sudo"],
        Some(other) => return Err(format!("invalid policy {other:?}")),
    };
    let mut all = Capabilities::default();
    for name in listed.unwrap_or_default().iter().chain(implied) {
        all = all.union(match *name {
            "subscribe" => {
                return Err("capability \"subscribe\" is not supported: this server sends no events".to_owned());
            }
            name => Capabilities::named(name).ok_or_else(|| format!("invalid capability {name:?}"))?,
        });
    }
    Ok(if all.contains(Capabilities::DENY) { Capabilities::DENY } else { all })
}

fn absolute_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| text.parse().ok().map(Timestamp::from_secs))
}

fn required(reader: &mut Reader<'_>) -> Result<Vec<String>, ParseError> {
    let names = reader.strings("required_parameters")?.unwrap_or_default();
    if names.iter().any(|name| name.contains('*')) {
        return Err(reader.error("required_parameters", "required_parameters: `*` is not permitted here"));
    }
    Ok(names.into_iter().map(str::to_lowercase).collect())
}

/// A map of parameters to lists of values; repeated blocks are one map.
fn parameters(reader: &mut Reader<'_>, key: &str) -> Result<Option<Parameters>, ParseError> {
    let blocks = reader.blocks(key, 0)?;
    let mut parameters = Parameters::new();
    for item in blocks.iter().flat_map(|block| &block.body.items) {
        let refuse = |message: String| ParseError { at: item.at, message: format!("{key}: {message}") };
        let name = item.key.to_lowercase();
        if name.contains('*') && name != "*" {
            return Err(refuse(format!("parameter key {:?}: `*` can only stand alone", item.key)));
        }
        let Value::List(values) = &item.value else {
            return Err(refuse(format!("parameter {:?} needs a list of values, [] for any value", item.key)));
        };
        if !item.labels.is_empty() || parameters.insert(name, values.iter().map(json).collect()).is_some() {
            return Err(refuse(format!("parameter {:?} is given twice", item.key)));
        }
    }
    Ok(Some(parameters).filter(|_| !blocks.is_empty()))
}

/// A value as it would look in a request. The depth of recursion is bounded by that of the parser.
fn json(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::from(text.as_str()),
        Value::Bool(truth) => Json::from(*truth),
        Value::Number(number) => match number.integer() {
            Some(whole) => Json::from(whole),
            None => Json::from(number.float()),
        },
        Value::List(values) => values.iter().map(json).collect(),
        Value::Object(body) => {
            Json::Object(body.items.iter().map(|item| (item.key.clone(), json(&item.value))).collect::<Map<_, _>>())
        }
    }
}
