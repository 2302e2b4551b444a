//! `userpass`: users with passwords, kept as bcrypt hashes.

use bcrypt::HashParts;
use framework::Operation::{Delete, List, Read, Update};
use framework::{
    Auth, AuthMethod, Change, Cidr, Context, Engine, Error, Fields, Input, Json, Map, Names, Paging, Route, Secs,
    fields,
};

use crate::token::TokenSettings;
use crate::{names, record};

/// The cost of hashes made here: Vault's. A hash that is given may have another.
const COST: u32 = 10;
/// The costs that a given hash may have. More would let a single login block the others for seconds.
const COSTS_TAKEN: std::ops::RangeInclusive<u32> = 5..=12;
/// The longest password, in bytes: bcrypt does not see what comes after.
const LONGEST_PASSWORD: usize = 72;

/// The engine, kind `userpass`.
pub fn engine() -> Engine {
    Engine {
        kind: "userpass",
        about: "The \"userpass\" credential provider allows authentication using a combination of a username and password.",
        routes: vec![
            Route::new(Update, "login/{username}", "Log in with a username and password.", login)
                .login(|input| input.part("username").to_ascii_lowercase())
                .costly(),
            Route::new(List, "users", "List the users.", |cx: &Context<'_>, paging: Paging| {
                Names::below(&cx.view, "user", paging)
            }),
            Route::new(Read, "users/{username}", "Read what is set for a user.", read),
            Route::new(Update, "users/{username}", "Create a user, or change one.", write)
                .creates_unless(exists)
                .costly(),
            Route::new(Delete, "users/{username}", "Delete a user.", delete),
            Route::new(Update, "users/{username}/password", "Reset a user's password.", set_password).costly(),
            Route::new(Update, "users/{username}/policies", "Update a user's policies.", set_policies),
        ],
        seal_wrapped: &["user/"],
        auth: Some(AuthMethod { renew }),
        ..Engine::default()
    }
}

fields! {
    struct At {
        /// Username for this user.
        username: String,
    }

    struct Credentials {
        /// Username of the user.
        username: String,
        /// Password for this user.
        password: String = String::new(),
    }

    struct NewPassword {
        /// Password for this user.
        password: String = String::new(),
        /// Pre-hashed bcrypt password for this user. Mutually exclusive with password.
        password_hash: String = String::new(),
    }

    /// Deprecated names.
    struct Old {
        /// Use "token_policies" instead. If both are specified, only "token_policies" will be used.
        policies: Option<Vec<String>> => clear,
        /// Use "token_ttl" instead. If both are specified, only "token_ttl" will be used.
        ttl: Option<Secs>,
        /// Use "token_max_ttl" instead. If both are specified, only "token_max_ttl" will be used.
        max_ttl: Option<Secs>,
        /// Use "token_bound_cidrs" instead. If both are specified, only "token_bound_cidrs" will be used.
        bound_cidrs: Option<Vec<Cidr>>,
    }

    struct Policies {
        /// Use "token_policies" instead. If both are specified, only "token_policies" will be used.
        policies: Option<Vec<String>> => clear,
        /// Comma-separated list of policies.
        token_policies: Option<Vec<String>> => clear,
    }

    /// What is kept and not shown.
    struct Kept {
        /// The bcrypt hash of the password.
        password_hash: String,
    }
}

/// What is shown of a user.
type Settings = (Old, TokenSettings);
/// The record of a user.
type User = (Kept, Settings);

fn place(username: &str) -> Result<String, Error> {
    Ok(format!("user/{}", names::lower(username)?))
}

fn user(cx: &Context<'_>, username: &str) -> Result<Option<User>, Error> {
    record::read(&cx.view, &place(username)?)
}

fn exists(cx: &Context<'_>, input: &Input) -> Result<bool, Error> {
    Ok(user(cx, input.part("username"))?.is_some())
}

fn read(cx: &Context<'_>, at: At) -> Result<Settings, Error> {
    user(cx, &at.username)?.map(|(_, settings)| settings).ok_or(Error::NotFound)
}

fn delete(cx: &Context<'_>, at: At) -> Result<(), Error> {
    cx.view.delete(&place(&at.username)?)
}

fn write(cx: &Context<'_>, (at, (new, change)): (At, (NewPassword, Change<Settings>))) -> Result<(), Error> {
    let hash = new.hash(cx)?;
    let (kept, settings) = match (user(cx, &at.username)?, hash) {
        (Some((_, settings)), Some(hash)) => (Kept { password_hash: hash }, settings),
        (Some(user), None) => user,
        (None, Some(hash)) => (Kept { password_hash: hash }, Settings::parse(&mut Input::default())?),
        (None, None) => return Err(Error::field("password", "must provide either password or password_hash")),
    };
    put(cx, &at.username, (kept, changed(settings, change)?))
}

fn put(cx: &Context<'_>, username: &str, user: User) -> Result<(), Error> {
    record::write(&cx.view, &place(username)?, user)
}

fn changed(settings: Settings, mut change: Change<Settings>) -> Result<Settings, Error> {
    for (old, new) in [
        ("policies", "token_policies"),
        ("ttl", "token_ttl"),
        ("max_ttl", "token_max_ttl"),
        ("bound_cidrs", "token_bound_cidrs"),
    ] {
        change.supersede(old, new);
    }
    let settings = change.over(settings)?;
    settings.1.check()?;
    Ok(settings)
}

fn existing(cx: &Context<'_>, username: &str) -> Result<User, Error> {
    user(cx, username)?.ok_or_else(|| Error::field("username", "username does not exist"))
}

fn set_password(cx: &Context<'_>, (at, new): (At, NewPassword)) -> Result<(), Error> {
    let (_, settings) = existing(cx, &at.username)?;
    let hash = new.hash(cx)?;
    let hash = hash.ok_or_else(|| Error::field("password", "must provide either password or password_hash"))?;
    put(cx, &at.username, (Kept { password_hash: hash }, settings))
}

fn set_policies(cx: &Context<'_>, (at, policies): (At, Policies)) -> Result<(), Error> {
    let (kept, settings) = existing(cx, &at.username)?;
    let mut input = Input { path: Vec::new(), body: policies.emit() };
    put(cx, &at.username, (kept, changed(settings, Change::parse(&mut input)?)?))
}

impl NewPassword {
    /// The hash to keep, if a password or a hash was given.
    fn hash(self, cx: &Context<'_>) -> Result<Option<String>, Error> {
        match (self.password.is_empty(), self.password_hash.is_empty()) {
            (true, true) => Ok(None),
            (false, false) => {
                Err(Error::field("password_hash", "only one of password or password_hash may be provided"))
            }
            (true, false) => checked(self.password_hash).map(Some),
            (false, true) => {
                if self.password.len() > LONGEST_PASSWORD {
                    return Err(Error::field("password", "bcrypt: password length exceeds 72 bytes"));
                }
                let mut salt = [0; 16];
                cx.rng.fill(&mut salt);
                let hash = bcrypt::hash_with_salt(&self.password, COST, salt).map_err(Error::internal)?;
                Ok(Some(hash.format_for_version(bcrypt::Version::TwoA)))
            }
        }
    }
}

/// A hash that was made elsewhere. The sentences are OpenBao's.
fn checked(hash: String) -> Result<String, Error> {
    let refused = |message: String| Err(Error::field("password_hash", message));
    let Ok(parts) = hash.parse::<HashParts>() else {
        return refused("password_hash is not a valid bcrypt hash".to_owned());
    };
    let (cost, least, most) = (parts.get_cost(), COSTS_TAKEN.start(), COSTS_TAKEN.end());
    match cost {
        cost if cost < *least => refused(format!("bcrypt cost of {cost} is too low, want {least} at minimum")),
        cost if cost > *most => refused(format!("bcrypt cost of {cost} exceeds maximum cost of {most}")),
        _ => Ok(hash),
    }
}

/// What an unknown user's password is compared with, so that the answer takes as long as for a known one: any hash will do, at
/// the cost of those made here, since the outcome does not count.
const NOBODY: &str = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

fn login(cx: &Context<'_>, credentials: Credentials) -> Result<Auth, Error> {
    if credentials.password.is_empty() {
        return Err(Error::field("password", "missing password"));
    }
    let known = user(cx, &credentials.username)?;
    let hash = known.as_ref().map_or(NOBODY, |(kept, _)| kept.password_hash.as_str());
    // Longer passwords than can be set are cut as bcrypt cuts them: a hash that was made elsewhere may be of such a one.
    let right = bcrypt::verify(&credentials.password, hash).map_err(Error::internal)?;
    let Some((_, (_, settings))) = known else {
        return Err(Error::BadCredentials { message: "invalid username or password", known: false });
    };
    if !right {
        return Err(Error::BadCredentials { message: "invalid username or password", known: true });
    }
    settings.admits(cx)?;
    let username = names::lower(&credentials.username)?;
    let mut auth = settings.auth(cx);
    auth.display_name.clone_from(&username);
    auth.metadata.insert("username".to_owned(), username.clone());
    auth.internal.insert("username".to_owned(), Json::String(username));
    Ok(auth)
}

fn renew(cx: &Context<'_>, auth: &mut Auth) -> Result<(), Error> {
    match user(cx, internal(&auth.internal, "username"))? {
        Some((_, (_, settings))) => settings.renew_with_same_policies(auth),
        None => Err(Error::invalid("failed to renew entry: the user does not exist any more")),
    }
}

fn internal<'m>(map: &'m Map<String, Json>, name: &str) -> &'m str {
    map.get(name).and_then(Json::as_str).unwrap_or_default()
}
