//! `login`, and `print token`.

use serde_json::{Map, Value, json};

use crate::call::Call;
use crate::client::{Ask, Client};
use crate::command::{Arity, Command, Output};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};
use crate::output::{self, Format};
use crate::prompt;
use crate::secret::Secret;
use crate::{data, table};

use super::logical::clean;

pub(super) static COMMANDS: [Command; 1] = [Command {
    name: "login",
    arguments: "[TOKEN | K=V...]",
    arity: Arity::AtLeast(0),
    summary: "Authenticate locally",
    about: "
  Without -method, the argument is a token; it is checked and kept. Without an
  argument it is asked for at the terminal, \"-\" reads it from standard input. A
  token or password on the command line ends up in the shell's history.

      $ holdfast login
      $ holdfast login -method=userpass username=ada
      $ holdfast login -method=approle role_id=ID secret_id=@secret-id
      $ holdfast login -method=cert -client-cert=me.pem -client-key=me-key.pem

  The token is kept in ~/.vault-token, readable by its owner alone, or handed to
  the program that `token_helper = \"PROGRAM\"` names in ~/.vault (or in the file
  VAULT_CONFIG_PATH names): it is called with store or get.",
    output: Output::Fields,
    flags: &[
        Flag::new(
            "method",
            Kind::Text,
            "Type of the auth method: token, userpass, ldap, radius, okta, approle, cert, jwt, kubernetes or github. The default is token.",
        )
        .offers(&["token", "userpass", "approle", "cert"]),
        Flag::new("path", Kind::Text, "Where the method is mounted. The default is its type."),
        Flag::new("no-print", Kind::Switch, "Do not print the token."),
        Flag::new("no-store", Kind::Switch, "Do not keep the token; print it only."),
        Flag::new("token-only", Kind::Switch, "Print the token and nothing else, unchecked and not kept."),
    ],
    run: login,
}];

pub(super) static PRINT: [Command; 1] = [Command {
    name: "print token",
    arguments: "",
    arity: Arity::Exactly(0),
    summary: "Print the token in use",
    about: "",
    output: Output::Sentences,
    flags: &[],
    run: print_token,
}];

/// How a method wants to be asked.
enum Method {
    /// The argument is the token.
    Token,
    /// `auth/PATH/login/USERNAME` with a password.
    Password,
    /// `auth/PATH/login` with all pairs.
    Pairs,
}

fn method(name: &str) -> Result<Method, Failure> {
    match name {
        "token" => Ok(Method::Token),
        "userpass" | "ldap" | "radius" | "okta" => Ok(Method::Password),
        "approle" | "cert" | "jwt" | "kubernetes" | "github" => Ok(Method::Pairs),
        other => Err(Failure::local(format!(
            "Unknown auth method: {other}. See \"holdfast login -help\" for those that are known"
        ))),
    }
}

/// How to log in with a method; `None` for one that is not known.
pub(super) fn usage(method: &str) -> Option<&'static str> {
    Some(match method {
        "token" => {
            "Usage: holdfast login [TOKEN]

  The argument is the token; without it, it is asked for at the terminal, and
  \"-\" reads it from standard input. It is checked and kept."
        }
        "userpass" => {
            "Usage: holdfast login -method=userpass [username=NAME] [password=PASSWORD]

  Without username= it is the name of the user at the terminal; without
  password= it is asked for.

      $ holdfast login -method=userpass username=ada"
        }
        "approle" => {
            "Usage: holdfast login -method=approle role_id=ID [secret_id=ID]

  The id of a role, and one of its secret ids where the role wants one.

      $ holdfast login -method=approle role_id=@role-id secret_id=@secret-id"
        }
        "cert" => {
            "Usage: holdfast login -method=cert -client-cert=FILE -client-key=FILE [name=ROLE]

  The certificate of the TLS connection, and its key. With name=, only this
  trusted certificate counts.

      $ holdfast login -method=cert -client-cert=me.pem -client-key=me-key.pem"
        }
        _ => return None,
    })
}

fn print_token(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let token = call.settings().token()?.unwrap_or_default();
    call.console.line(&token)
}

fn login(call: &mut Call<'_, '_>) -> Result<(), Failure> {
    let name = call.flags.text("method").unwrap_or("token").trim().to_lowercase();
    let method = method(&name)?;
    let path = clean(call.flags.text("path").unwrap_or(&name));
    let token_only = call.flags.on("token-only");
    let keep = !token_only && !call.flags.on("no-store");
    let pairs = pairs(call, &method)?;
    let mut client = call.client()?;
    // Whoever logs in has no token yet, and an old one must not decide the outcome.
    client.token = None;
    let secret = match method {
        Method::Token => by_token(call, &mut client, &pairs, token_only),
        Method::Password => by_password(call, &client, &path, pairs),
        Method::Pairs => answered(client.secret(&Ask::put(format!("auth/{path}/login"), Value::Object(pairs)))),
    };
    let mut secret = secret.map_err(|failure| failure.during("Error authenticating"))?;
    if let Some(wrapping) = secret.wrap_info.as_ref().and_then(|info| info.get("token")).map(table::cell)
        && keep
    {
        client.stop_wrapping();
        client.token = Some(wrapping);
        secret = answered(client.secret(&Ask::put_empty("sys/wrapping/unwrap")))
            .map_err(|failure| failure.during("Error unwrapping token"))?;
    }
    if token_only {
        let token = secret.field("token").or_else(|| secret.field("wrapping_token"));
        return match token {
            Some(token) => output::field(call.console, call.format, &token),
            None => Err(Failure::server("the server answered without a token")),
        };
    }
    finish(call, &secret, keep)
}

fn finish(call: &mut Call<'_, '_>, secret: &Secret, keep: bool) -> Result<(), Failure> {
    let variable = call.settings().environment_token().map(|(name, _)| name);
    if keep {
        let Some(token) = secret.field("token") else {
            return Err(Failure::server("the server answered without a token"));
        };
        let helper = call.settings().token_helper()?;
        let helper = helper.ok_or_else(|| Failure::local("HOME is not set, so there is no place for the token"))?;
        helper.write(&table::cell(&token))?;
        if let Some(variable) = variable {
            call.console.warn(&format!(
                "WARNING! The {variable} environment variable is set! The value of this variable\n\
                 will take precedence; if this is unwanted please unset {variable} or update its\n\
                 value accordingly.\n"
            ));
        }
    } else {
        call.console.warn(
            "The token was not stored. Set the VAULT_TOKEN environment variable to the token\n\
             below, or pass it along with each request.\n",
        );
    }
    if call.flags.on("no-print") {
        return Ok(());
    }
    if call.format == Format::Table && !call.flags.given("field") {
        call.console.line(if keep {
            "Success! You are now authenticated. The token information displayed below is\n\
             already stored in the token helper. You do NOT need to run \"holdfast login\"\n\
             again. Future requests will automatically use this token.\n"
        } else {
            "Success! You are now authenticated. The token information is displayed below.\n"
        })?;
    }
    call.show(secret)
}

/// The `key=value` arguments; for a token, its bare form too.
fn pairs(call: &mut Call<'_, '_>, method: &Method) -> Result<Map<String, Value>, Failure> {
    let arguments = call.arguments.clone();
    if let (Method::Token, [argument]) = (method, arguments.as_slice()) {
        let token = match argument.as_str() {
            "-" => Some(call.console.read_input()?.trim().to_owned()),
            argument => Some(argument.to_owned()).filter(|argument| !argument.contains('=')),
        };
        if let Some(token) = token {
            return Ok(Map::from_iter([("token".to_owned(), json!(token))]));
        }
    }
    data::parse_texts(&arguments, call.console)
}

fn by_token(
    call: &mut Call<'_, '_>,
    client: &mut Client,
    pairs: &Map<String, Value>,
    unchecked: bool,
) -> Result<Secret, Failure> {
    let token = match pairs.get("token").and_then(Value::as_str) {
        Some(token) => token.to_owned(),
        None => prompt::secret(
            &call.flags,
            "Token",
            "The token can be given as the argument, or as \"-\" to read it from standard input",
        )?,
    };
    if token.is_empty() || token.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(Failure::local("a token must be given, without spaces and control characters"));
    }
    if unchecked {
        return Ok(Secret {
            auth: Some(Map::from_iter([("client_token".to_owned(), json!(token))])),
            ..Secret::default()
        });
    }
    client.token = Some(token.clone());
    client.stop_wrapping();
    let found =
        client.secret(&Ask::get("auth/token/lookup-self")).map_err(|fault| fault.during("error looking up token"));
    let known = found?.ok_or_else(|| Failure::server("error looking up token: the server answered nothing"))?;
    let get = |name: &str| known.get(name).cloned().unwrap_or_default();
    let auth = json!({
        "client_token": token,
        "accessor": get("accessor"),
        "policies": get("policies"),
        "token_policies": get("policies"),
        "identity_policies": get("identity_policies"),
        "metadata": get("meta"),
        "orphan": false,
        "entity_id": "",
        "lease_duration": get("ttl").as_i64().unwrap_or_default(),
        "renewable": get("renewable").as_bool().unwrap_or_default(),
        "mfa_requirement": null,
    });
    Ok(Secret { auth: auth.as_object().cloned(), request_id: known.request_id, ..Secret::default() })
}

fn by_password(
    call: &mut Call<'_, '_>,
    client: &Client,
    path: &str,
    mut pairs: Map<String, Value>,
) -> Result<Secret, Failure> {
    let user = pairs.remove("username").as_ref().map(table::cell);
    let user = user.or_else(|| (call.environment)("LOGNAME").or_else(|| (call.environment)("USER")));
    let Some(user) = user.filter(|user| !user.is_empty()) else {
        return Err(Failure::local("'username' must be specified"));
    };
    if !pairs.contains_key("password") {
        let password =
            prompt::secret(&call.flags, "Password", "The password can be given as password=@FILE or password=-")?;
        pairs.insert("password".to_owned(), json!(password));
    }
    answered(client.secret(&Ask::put(format!("auth/{path}/login/{user}"), Value::Object(pairs))))
}

fn answered(answer: Result<Option<Secret>, crate::client::Fault>) -> Result<Secret, Failure> {
    answer?.ok_or_else(|| Failure::server("the server answered without a token"))
}
