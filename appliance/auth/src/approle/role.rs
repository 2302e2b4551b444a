//! Roles.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framework::Operation::{Delete, List, Read, Update};
use framework::{
    Change, Cidr, Context, Error, FieldType, Fields, Input, Json, Kind, Names, Output, Paging, Route, Secret, Secs,
    duration, fields, uuid,
};

use super::ids::{self, Ids};
use crate::token::TokenSettings;
use crate::{names, record};

/// The longest role id and secret id, in bytes, as in Vault.
pub(super) const LONGEST: usize = 4096;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            List,
            "role",
            "Lists all the roles registered with the backend.",
            |cx: &Context<'_>, page: Paging| Names::below(&cx.view, "role", page),
        ),
        Route::new(Read, "role/{role_name}", "Read a role.", |cx: &Context<'_>, at: At| {
            Ok(Role::find(cx, &at.role_name)?.ok_or(Error::NotFound)?.settings)
        }),
        Route::new(Update, "role/{role_name}", "Register a role with the backend, or change it.", write)
            .creates_unless(|cx: &Context<'_>, input: &Input| Ok(Role::find(cx, input.part("role_name"))?.is_some())),
        Route::new(Delete, "role/{role_name}", "Delete a role and all its secret ids.", delete),
        Route::new(Read, "role/{role_name}/role-id", "The 'role_id' of the role.", |cx: &Context<'_>, at: At| {
            let role = Role::find(cx, &at.role_name)?.ok_or(Error::NotFound)?;
            Ok(RoleId { role_id: role.kept.role_id })
        }),
        Route::new(Update, "role/{role_name}/role-id", "Set the 'role_id' of the role.", set_role_id),
    ]
}

fields! {
    /// Which role.
    pub(super) struct At {
        /// Name of the role. Must be less than 4096 bytes.
        pub(super) role_name: String,
    }

    struct RoleId {
        /// Identifier of the role. Defaults to a UUID.
        role_id: String,
    }

    /// What a request may say that a role is not shown with.
    struct Given {
        /// Identifier of the role. Defaults to a UUID.
        role_id: Option<String>,
        /// Use "secret_id_bound_cidrs" instead.
        bound_cidr_list: Option<Blocks>,
    }

    /// What is set for a role's secret ids.
    pub(super) struct Constraints {
        /// Impose secret_id to be presented when logging in using this role.
        pub(super) bind_secret_id: bool = true,
        /// If set, the secret IDs generated using this role will be cluster local.
        /// This can only be set during role creation and once set, it can't be reset later.
        pub(super) local_secret_ids: bool = false,
        /// Comma separated string or list of CIDR blocks. If set, specifies the blocks of IP addresses
        /// which can perform the login operation.
        pub(super) secret_id_bound_cidrs: Blocks = Blocks::default(),
        /// Number of times a secret ID can access the role, after which the secret ID will expire. 0 for any number.
        pub(super) secret_id_num_uses: u64 = 0,
        /// Duration in seconds after which the issued secret ID should expire. 0 for no expiration.
        pub(super) secret_id_ttl: Secs = Secs::default(),
    }

    /// Deprecated names.
    pub(super) struct Old {
        /// Use "token_policies" instead. If both are specified, only "token_policies" will be used.
        policies: Option<Vec<String>> => clear,
        /// Use "token_period" instead. If both are specified, only "token_period" will be used.
        period: Option<Secs>,
    }

    /// What is kept and not shown.
    pub(super) struct Kept {
        /// The role's name.
        pub(super) name: String,
        /// Identifier of the role.
        pub(super) role_id: String,
        /// Names the role in the records of its secret ids.
        pub(super) id: String,
        /// The key of the HMACs of its secret ids, in base64.
        hmac_key: String,
    }
}

/// CIDR blocks as they were written; null where there are none, as Vault shows them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Blocks(pub(super) Vec<String>);

impl FieldType for Blocks {
    const KIND: Kind = Kind::Strings;
    const REQUIRED: bool = false;
    fn parse(value: Json) -> Result<Self, &'static str> {
        let texts = Vec::<String>::parse(value)?;
        let valid = texts.iter().all(|text| Cidr::parse(text).is_some());
        if valid { Ok(Self(texts)) } else { Err("expected CIDR blocks, such as \"10.0.0.0/8\"") }
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
    fn emit(self) -> Option<Json> {
        Some(if self.0.is_empty() { Json::Null } else { self.0.into() })
    }
}

impl Blocks {
    /// The blocks themselves.
    pub(super) fn cidrs(&self) -> Vec<Cidr> {
        self.0.iter().filter_map(|text| Cidr::parse(text)).collect()
    }

    /// [`Error::Invalid`] unless each block lies in one of the role's, where the role has any.
    pub(super) fn check_within(&self, role: &[Cidr]) -> Result<(), Error> {
        if role.is_empty() || self.cidrs().iter().all(|own| role.iter().any(|block| block.covers(own))) {
            return Ok(());
        }
        let role: Vec<String> = role.iter().map(Cidr::to_string).collect();
        Err(Error::invalid(format!(
            "failed to verify subset relationship between CIDR blocks on the role {role:?} and CIDR blocks on the secret ID {:?}",
            self.0
        )))
    }
}

/// What is shown of a role.
pub(super) type Settings = (Constraints, (Old, TokenSettings));

pub(super) struct Role {
    pub(super) kept: Kept,
    pub(super) settings: Settings,
}

fn place(name: &str) -> Result<String, Error> {
    Ok(format!("role/{}", names::lower(name)?))
}

/// Where the index of role ids has one: hashed, since the operator may choose it.
fn index(role_id: &str) -> String {
    format!("role-id/{}", URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, role_id.as_bytes())))
}

impl Role {
    pub(super) fn find(cx: &Context<'_>, name: &str) -> Result<Option<Self>, Error> {
        let found = record::read::<(Kept, Settings)>(&cx.view, &place(name)?)?;
        Ok(found.map(|(kept, settings)| Self { kept, settings }))
    }

    pub(super) fn by_id(cx: &Context<'_>, role_id: &str) -> Result<Option<Self>, Error> {
        match cx.view.get(&index(role_id))? {
            Some(name) => Self::find(cx, &String::from_utf8_lossy(name.expose())),
            None => Ok(None),
        }
    }

    /// The role that a write to one of its parts is for. Vault says that there is no such path.
    pub(super) fn to_change(cx: &Context<'_>, name: &str) -> Result<Self, Error> {
        Self::find(cx, name)?.ok_or_else(|| Error::NoRoute { message: "unsupported path".to_owned() })
    }

    /// A role that nothing was said about yet.
    fn new(cx: &Context<'_>, name: &str) -> Result<Self, Error> {
        let (mut id, mut key) = ([0; 16], [0; 32]);
        cx.rng.fill(&mut id);
        cx.rng.fill(&mut key);
        let kept = Kept {
            name: names::lower(name)?,
            role_id: uuid(cx.rng),
            id: URL_SAFE_NO_PAD.encode(id),
            hmac_key: URL_SAFE_NO_PAD.encode(key),
        };
        Ok(Self { kept, settings: Settings::parse(&mut Input::default())? })
    }

    /// Changes the settings, checks them together, and stages the role.
    pub(super) fn change(mut self, cx: &Context<'_>, mut change: Change<Settings>) -> Result<(), Error> {
        change.supersede("policies", "token_policies");
        change.supersede("period", "token_period");
        self.settings = change.over(self.settings)?;
        let (constraints, (old, token)) = &self.settings;
        token.check()?;
        if let Some(Secs(period)) = old.period
            && period > cx.mount.max_ttl
        {
            return Err(Error::field(
                "period",
                format!(
                    "period of {:?} is greater than the backend's maximum lease TTL of {:?}",
                    duration::format(period),
                    duration::format(cx.mount.max_ttl)
                ),
            ));
        }
        let bound = !constraints.secret_id_bound_cidrs.0.is_empty() || !token.token_bound_cidrs.is_empty();
        if !constraints.bind_secret_id && !bound {
            return Err(Error::invalid("at least one constraint should be enabled on the role"));
        }
        self.put(cx)
    }

    fn put(self, cx: &Context<'_>) -> Result<(), Error> {
        record::write(&cx.view, &place(&self.kept.name)?, (self.kept, self.settings))
    }

    /// Gives the role another id.
    fn identify(&mut self, cx: &Context<'_>, role_id: String) -> Result<(), Error> {
        if role_id.len() > LONGEST {
            return Err(Error::field("role_id", format!("role_id is longer than {LONGEST} bytes")));
        }
        if let Some(other) = cx.view.get(&index(&role_id))?
            && other.expose() != self.kept.name.as_bytes()
        {
            return Err(Error::field("role_id", "role_id already in use"));
        }
        cx.view.delete(&index(&self.kept.role_id))?;
        cx.view.put(&index(&role_id), Secret::from(self.kept.name.as_str()))?;
        self.kept.role_id = role_id;
        Ok(())
    }

    /// Where the role's secret ids are.
    pub(super) fn ids<'t>(&self, cx: &Context<'t>) -> Ids<'t> {
        Ids::of(cx, &self.kept.id, self.settings.0.local_secret_ids)
    }

    /// The name of a secret id: its HMAC.
    pub(super) fn hmac(&self, secret_id: &str) -> Result<String, Error> {
        let key = URL_SAFE_NO_PAD.decode(&self.kept.hmac_key).map_err(Error::internal)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, Secret::transient(key).expose());
        Ok(URL_SAFE_NO_PAD.encode(hmac::sign(&key, secret_id.as_bytes())))
    }
}

fn write(cx: &Context<'_>, (at, (given, mut change)): (At, (Given, Change<Settings>))) -> Result<Output, Error> {
    let mut output = Output::default();
    let existing = Role::find(cx, &at.role_name)?;
    if existing.is_some() && change.has("local_secret_ids") {
        let message = "local_secret_ids can only be modified during role creation";
        return Err(Error::field("local_secret_ids", message));
    }
    let creates = existing.is_none();
    let mut role = match existing {
        Some(role) => role,
        None => Role::new(cx, &at.role_name)?,
    };
    match given.role_id {
        Some(id) if id.is_empty() => {
            return Err(Error::field("role_id", "invalid role_id supplied, or failed to generate a role_id"));
        }
        Some(id) => role.identify(cx, id)?,
        None if creates => role.identify(cx, role.kept.role_id.clone())?,
        None => {}
    }
    if let Some(blocks) = given.bound_cidr_list.filter(|_| !change.has("secret_id_bound_cidrs")) {
        change.set("secret_id_bound_cidrs", blocks.emit().unwrap_or_default());
    }
    if let Some((given, meant)) = plain_kind(&change) {
        output.warnings.push(format!("{given} has no useful meaning; adjusting to {meant}"));
        change.set("token_type", meant.into());
    }
    role.change(cx, change)?;
    if Role::find(cx, &at.role_name)?.is_some_and(|role| role.settings.1.1.token_max_ttl.0 > cx.mount.max_ttl) {
        output.warnings.push(
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' max TTL value will be truncated"
                .to_owned(),
        );
    }
    Ok(output)
}

/// What Vault takes in place of a kind of token, and what it takes it for.
fn plain_kind(change: &Change<Settings>) -> Option<(&'static str, &'static str)> {
    match change.get("token_type").and_then(Json::as_str)? {
        "default-service" => Some(("default-service", "service")),
        "default-batch" => Some(("default-batch", "batch")),
        _ => None,
    }
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    let Some(role) = Role::find(cx, &at.role_name)? else { return Ok(()) };
    cx.view.delete(&place(&role.kept.name)?)?;
    cx.view.delete(&index(&role.kept.role_id))?;
    ids::remove_all(&role.ids(cx))
}

fn set_role_id(cx: &Context<'_>, (at, given): (At, Given)) -> Result<(), Error> {
    let mut role = Role::to_change(cx, &at.role_name)?;
    let id = given.role_id.filter(|id| !id.is_empty()).ok_or_else(|| Error::field("role_id", "missing role_id"))?;
    role.identify(cx, id)?;
    role.put(cx)
}
