//! A route: one operation on one path pattern, declared once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::{
    Error, Field, Fields, IntoOutput, Json, Map, Operation, Output, Permit, PolicyNames, Rng, Secret, Timestamp,
    TokenRule, Unrecorded, View,
};

/// Who may call a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// A token whose policies allow it.
    Token,
    /// A token whose policies allow it, with `sudo`.
    Sudo,
    /// Anybody: logins, health.
    Open,
}

/// What a route does to the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// Nothing.
    Read,
    /// May stage writes.
    Write,
}

/// Where a request came from, as far as the connection and its headers tell.
#[derive(Debug)]
pub struct Origin {
    /// Names the request in answers and logs (a UUID).
    pub request_id: String,
    /// The peer's address.
    pub remote_address: IpAddr,
    /// The peer's port.
    pub remote_port: u16,
    /// `X-Vault-Namespace`, without slashes at its ends; empty for the root.
    pub namespace: String,
    /// `X-Vault-Wrap-TTL`.
    pub wrap_ttl: Option<Duration>,
    /// The client's certificate chain, DER, leaf first.
    pub client_certificates: Vec<Vec<u8>>,
}

impl Origin {
    /// A request of the server's own.
    pub fn local() -> Self {
        Self {
            request_id: "local".to_owned(),
            remote_address: IpAddr::from([127, 0, 0, 1]),
            remote_port: 0,
            namespace: String::new(),
            wrap_ttl: None,
            client_certificates: Vec::new(),
        }
    }
}

/// Whom a token stands for. The default is nobody.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Names the token's record; not the token. Empty for nobody.
    pub token: String,
    /// Names the record of the token with which the caller's leases end: its own, a batch token's parent, or empty.
    pub owner: String,
    /// The token's accessor.
    pub accessor: String,
    /// Name shown in the audit log.
    pub display_name: String,
    /// The token's policies.
    pub policies: PolicyNames,
    /// Metadata of the login.
    pub metadata: BTreeMap<String, String>,
    /// The identity entity, or empty.
    pub entity_id: String,
    /// `service`, `batch`, or empty for nobody.
    pub kind: &'static str,
    /// Lifetime at issue, in seconds; 0 for ever.
    pub ttl: u64,
    /// When the token was issued.
    pub issued: Timestamp,
    /// When the token ends, unless renewed; `None` for never.
    pub expires: Option<Timestamp>,
    /// Whether the root policy is among the policies.
    pub root: bool,
    /// Whether the token has no parent.
    pub orphan: bool,
}

/// The mount a request goes to.
#[derive(Clone, Debug)]
pub struct MountInfo {
    /// Its path with a final `/`; for auth methods with `auth/` in front.
    pub path: String,
    /// Its kind: `kv`, `system`, `token` …
    pub kind: String,
    /// Its accessor.
    pub accessor: String,
    /// Its options: for kv the `version`.
    pub options: BTreeMap<String, String>,
    /// Lifetime of leases and tokens that ask for none.
    pub default_ttl: Duration,
    /// Longest lifetime of leases and tokens.
    pub max_ttl: Duration,
    /// For an auth method: which kind of tokens its logins get.
    pub token_rule: TokenRule,
}

impl MountInfo {
    /// Stands for no mount at all.
    pub fn nowhere() -> Self {
        Self {
            path: String::new(),
            kind: String::new(),
            accessor: String::new(),
            options: BTreeMap::new(),
            default_ttl: Duration::ZERO,
            max_ttl: Duration::ZERO,
            token_rule: TokenRule::default(),
        }
    }
}

/// What a handler gets to see and use.
pub struct Context<'a> {
    /// The mount's part of the store, in this request's transaction.
    pub view: View<'a>,
    /// Who asks.
    pub caller: &'a Caller,
    /// Where the request came from.
    pub origin: &'a Origin,
    /// The mount.
    pub mount: &'a MountInfo,
    /// The time at which the request is taken to happen.
    pub now: Timestamp,
    /// Random bytes.
    pub rng: &'a dyn Rng,
    /// The token as it was given; for routes alone that must show, renew or unwrap it ([`Route::sees_token`]).
    pub token: Option<&'a Secret>,
}

/// What a request says, before a route's fields are taken out of it.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Parts of the path, by the names in the route's pattern.
    pub path: Vec<(&'static str, String)>,
    /// The body's fields, or the query string's where the operation has no body.
    pub body: Map<String, Json>,
}

impl Input {
    /// Takes a field out: the path's first, so that a body cannot speak for the path.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        if let Some((_, part)) = self.path.iter().find(|(part, _)| *part == name) {
            self.body.remove(name);
            return Some(Json::String(part.clone()));
        }
        self.body.remove(name)
    }

    /// A part of the path; empty where the pattern has no such part.
    pub fn part(&self, name: &str) -> &str {
        self.path.iter().find(|(part, _)| *part == name).map_or("", |(_, value)| value)
    }
}

/// A path pattern: literal segments, `{name}` for one segment, and a final `{name*}` for the rest, which may be empty.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: &'static str,
    segments: Vec<Segment>,
    weight: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(&'static str),
    One(&'static str),
    Rest(&'static str),
}

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: &'static str) -> Self {
        let segments: Vec<_> = text
            .split('/')
            .map(|segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                None => Segment::Literal(segment),
                Some(name) => name.strip_suffix('*').map_or(Segment::One(name), Segment::Rest),
            })
            .collect();
        let weigh = |segment: &Segment| match segment {
            Segment::Literal(_) => 3,
            Segment::One(_) => 2,
            Segment::Rest(_) => 1,
        };
        // A path that ends where the pattern ends fits better than one that a rest has to swallow.
        let weight = segments.iter().map(weigh).chain([4]).collect();
        Self { text, segments, weight }
    }

    /// The pattern as declared.
    pub fn as_str(&self) -> &'static str {
        self.text
    }

    /// The names of its parts.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::One(name) | Segment::Rest(name) => Some(*name),
        })
    }

    /// The parts of `path` if it fits. Literals count more than names, names more than a rest: see [`Pattern::weight`].
    pub fn matches(&self, path: &str) -> Option<Vec<(&'static str, String)>> {
        let mut parts = Vec::new();
        let mut rest = Some(path);
        for segment in &self.segments {
            if let Segment::Rest(name) = segment {
                parts.push((*name, rest.unwrap_or_default().to_owned()));
                return Some(parts);
            }
            let (this, next) = match rest?.split_once('/') {
                Some((this, next)) => (this, Some(next)),
                None => (rest?, None),
            };
            match segment {
                Segment::Literal(literal) if *literal == this => {}
                Segment::One(name) if !this.is_empty() => parts.push((*name, this.to_owned())),
                _ => return None,
            }
            rest = next;
        }
        // A trailing slash says nothing: LIST sends it.
        rest.is_none_or(str::is_empty).then_some(parts)
    }

    /// Orders patterns that fit the same path: the greatest is the most specific.
    pub fn weight(&self) -> &[u8] {
        &self.weight
    }
}

type Handler = dyn Fn(&Context<'_>, &mut Input) -> Result<Output, Error> + Send + Sync;
type Exists = dyn Fn(&Context<'_>, &Input) -> Result<bool, Error> + Send + Sync;
type Check = dyn Fn(&Context<'_>, &Input) -> Result<(), Error> + Send + Sync;
type Claim = fn(&Input) -> String;

/// One operation on one path pattern. Everything that is known of it is here: parser, schemas, access, help.
pub struct Route {
    /// The operation; [`Operation::Update`] stands for Create too.
    pub operation: Operation,
    /// The path, relative to the mount.
    pub pattern: Pattern,
    /// Who may call it.
    pub access: Access,
    /// What it does to the store.
    pub effect: Effect,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Fields of the request.
    pub request: Vec<Field>,
    /// Fields of the answer's data.
    pub response: Vec<Field>,
    /// Names of fields, of either, whose values may stand in the audit log as they are.
    pub clear: Vec<&'static str>,
    /// Whether it answers while the barrier is sealed, and without an audit line, as Vault's own such routes do.
    pub while_sealed: bool,
    /// Whether its body goes to [`Output::outside`] as a stream, and its answer may be one ([`Output::stream`]): neither the
    /// limit on bodies nor that on time applies.
    pub streamed: bool,
    /// Whether the data stands at the top level of the answer in place of the usual envelope.
    pub bare: bool,
    /// Whether the data stands at the top level as well as in the envelope, as some old `sys/` paths do.
    pub merged: bool,
    /// Whether the handler gets to see the text of the request's token.
    pub sees_token: bool,
    /// Whether the handler itself ends a wrapping token that the request is made with, so that its one use needs no counting.
    pub unwraps: bool,
    check: Option<Box<Check>>,
    /// Whether it takes so much of a processor, tens of milliseconds, that only few such requests may run at a time.
    pub costly: bool,
    claim: Option<Claim>,
    exists: Option<Box<Exists>>,
    handler: Box<Handler>,
}

impl Route {
    /// Declares a route. `handler` is a plain function: it reads and stages through the context's view and returns.
    /// It may run again if the transaction conflicts, so it has no other effect.
    pub fn new<Q: Fields + 'static, R: IntoOutput + 'static>(
        operation: Operation,
        path: &'static str,
        about: &'static str,
        handler: impl Fn(&Context<'_>, Q) -> Result<R, Error> + Send + Sync + 'static,
    ) -> Self {
        Self {
            operation,
            pattern: Pattern::new(path),
            access: Access::Token,
            effect: if matches!(operation, Operation::Read | Operation::List) { Effect::Read } else { Effect::Write },
            about,
            clear: Q::fields().iter().chain(&R::answer()).filter(|field| field.clear).map(|field| field.name).collect(),
            request: Q::fields(),
            response: R::answer(),
            while_sealed: false,
            streamed: false,
            bare: false,
            merged: false,
            sees_token: false,
            unwraps: false,
            check: None,
            costly: false,
            claim: None,
            exists: None,
            handler: Box::new(move |context, input| handler(context, Q::parse(input)?).map(R::into_output)),
        }
    }

    /// Needs the `sudo` capability too.
    pub fn sudo(mut self) -> Self {
        self.access = Access::Sudo;
        self
    }

    /// Needs no token.
    pub fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// Is a login with a secret that can be guessed. Needs no token; `claim` says who wants to be let in. Who fails too often
    /// ([`Error::BadCredentials`]) is locked out.
    pub fn login(mut self, claim: fn(&Input) -> String) -> Self {
        self.claim = Some(claim);
        self.open()
    }

    /// Takes much of a processor.
    pub fn costly(mut self) -> Self {
        self.costly = true;
        self
    }

    /// Answers while sealed too; its view is then of no use. Not audited.
    pub fn while_sealed(mut self) -> Self {
        self.while_sealed = true;
        self
    }

    /// Takes its body and gives its answer as a stream.
    pub fn streamed(mut self) -> Self {
        self.streamed = true;
        self
    }

    /// Answers without the envelope.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Answers with the data at the top level as well.
    pub fn merged(mut self) -> Self {
        self.merged = true;
        self
    }

    /// Shows the handler the text of the request's token.
    pub fn sees_token(mut self) -> Self {
        self.sees_token = true;
        self
    }

    /// The handler ends the wrapping token that the request is made with.
    pub fn unwraps(mut self) -> Self {
        self.unwraps = true;
        self
    }

    /// Adds a check that comes before policy: what it refuses is told to anybody, whoever they are.
    pub fn checked_first(
        mut self,
        check: impl Fn(&Context<'_>, &Input) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// Tells create from update: policies then ask for `create` where `exists` says no.
    pub fn creates_unless(
        mut self,
        exists: impl Fn(&Context<'_>, &Input) -> Result<bool, Error> + Send + Sync + 'static,
    ) -> Self {
        self.exists = Some(Box::new(exists));
        self
    }

    /// What is wrong with the request whoever makes it.
    pub fn check(&self, context: &Context<'_>, input: &Input) -> Result<(), Error> {
        self.check.as_ref().map_or(Ok(()), |check| check(context, input))
    }

    /// Whether it is a login, in the sense of [`Route::login`].
    pub fn is_login(&self) -> bool {
        self.claim.is_some()
    }

    /// Who wants to be let in; `None` where it is no login.
    pub fn claim(&self, input: &Input) -> Option<String> {
        self.claim.map(|claim| claim(input))
    }

    /// The operation that policies judge and the audit log names.
    pub fn judged(&self, context: &Context<'_>, input: &Input) -> Result<Operation, Error> {
        match &self.exists {
            Some(exists) if !exists(context, input)? => Ok(Operation::Create),
            _ => Ok(self.operation),
        }
    }

    /// Runs the handler. The permit is the proof that policy and audit log have seen the request.
    pub fn call(&self, _permit: &Permit, context: &Context<'_>, mut input: Input) -> Unrecorded<Output> {
        let result = (self.handler)(context, &mut input).map(|mut output| {
            if !input.body.is_empty() && self.operation.has_body() && !self.request.is_empty() {
                let names: Vec<&str> = input.body.keys().map(String::as_str).collect();
                output.warnings.push(format!("Endpoint ignored these unrecognized parameters: [{}]", names.join(" ")));
            }
            output
        });
        Unrecorded::new(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_paths_apart() {
        let rest = Pattern::new("data/{path*}");
        assert_eq!(rest.matches("data/a/b"), Some(vec![("path", "a/b".to_owned())]));
        assert_eq!(rest.matches("data/"), Some(vec![("path", String::new())]));
        assert_eq!(rest.matches("data"), Some(vec![("path", String::new())]));
        assert_eq!(rest.matches("metadata/a"), None);
        let one = Pattern::new("policy/{name}");
        assert_eq!(one.matches("policy/p/"), Some(vec![("name", "p".to_owned())]));
        assert_eq!(one.matches("policy/"), None);
        assert_eq!(one.matches("policy/p/q"), None);
        assert!(Pattern::new("mounts/{path*}").weight() < Pattern::new("mounts/tune").weight());
        assert!(Pattern::new("mounts/{path*}").weight() < Pattern::new("mounts").weight());
    }

    #[test]
    fn a_body_cannot_speak_for_the_path() {
        let mut body = Map::new();
        body.insert("name".into(), "other".into());
        let mut input = Input { path: vec![("name", "mine".into())], body };
        assert_eq!(input.take("name"), Some(Json::from("mine")));
        assert!(input.body.is_empty());
    }
}
