//! Making the keys of the seal, once.

use std::thread;
use std::time::Duration;

use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::Session;

use super::report;
use super::template::NewKey;
use crate::config::Config;
use crate::connection::Connection;
use crate::entry::Entry;
use crate::error::{Error, Fault, Kind};
use crate::key::{self, Role};
use crate::mechanism;
use crate::report::{Attributes, KeyReport};

/// How `init` is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Look at everything, make nothing.
    pub dry_run: bool,
}

/// A new key may not be usable at once: AWS CloudHSM first copies it to a second HSM.
const PATIENCE: u32 = 40;
const PAUSE: Duration = Duration::from_millis(500);

/// Makes the keys that the configured mechanism needs, once: generated inside the HSM, with every attribute given and then
/// read back; then wraps and unwraps with them as the server will. A key that is there already is left as it is, so that
/// the one that AES-CBC also needs can be added later.
///
/// # Errors
/// If there is nothing to make, or the token cannot make such a key (a key made otherwise than asked is destroyed again),
/// or as [`Hsm::describe`](crate::Hsm::describe).
pub fn init(config: &Config, options: Options) -> Result<KeyReport, Error> {
    Ok(make(config, options)?)
}

fn make(config: &Config, options: Options) -> Result<KeyReport, Fault> {
    let entry = Entry::open(config)?;
    let number = config.mechanism.unwrap_or(entry.profile.mechanism);
    let session = entry.door.session()?;
    let mut missing = Vec::new();
    for (role, label) in mechanism::roles(number, config)? {
        let there = !key::labelled(&session, role, label, None)?.is_empty();
        missing.extend(NewKey::of_role(role, label, config, entry.profile).filter(|_| !there));
    }
    if missing.is_empty() {
        return Err(Fault::operator(format!(
            "token {:?} already has a key labelled {:?}: nothing was made. To use it, start the server; \
             `holdfast hsm keys` shows it",
            entry.token.label(),
            config.key_label
        )));
    }
    let offered = entry.door.module.pkcs11().get_mechanism_list(entry.door.slot)?;
    if let Some(new) = missing.iter().find(|new| !offered.contains(&new.generator_type())) {
        let (label, needed) = (entry.token.label(), new.generator_type());
        return Err(Fault::operator(format!("token {label:?} does not offer {needed}: it cannot hold the seal key")));
    }
    if options.dry_run {
        return Ok(planned(&entry, config, &missing));
    }
    for new in &mut missing {
        let handles = generate(&session, new)?;
        let made = as_asked(&session, new, &handles);
        if let Err(fault) = made {
            return Err(destroy(&session, &handles, fault));
        }
    }
    let made = missing.iter().map(|new| format!("{:?}", new.label)).collect::<Vec<_>>().join(" and ");
    drop(session);
    let connection = open_when_ready(entry, config, number)?;
    Ok(report(&connection, &format!("{made} made in the HSM; it wrapped and unwrapped a probe")))
}

fn planned(entry: &Entry, config: &Config, missing: &[NewKey]) -> KeyReport {
    let labels = missing.iter().map(|new| format!("{} {:?}", new.role.what, new.label)).collect::<Vec<_>>().join(", ");
    KeyReport {
        outcome: format!("nothing made (dry run); this is what would be asked for: {labels}"),
        token_label: entry.token.label().to_owned(),
        token_serial: entry.token.serial_number().to_owned(),
        key_label: config.key_label.clone(),
        attributes: missing.first().map(|new| key::named(&new.template).named()).unwrap_or_default(),
        check_value: None,
    }
}

/// Attributes at a template's end that no rule of the seal needs: given up if the token will not hear of them.
const WISHES: usize = 2;

fn generate(session: &Session, new: &mut NewKey) -> Result<Vec<ObjectHandle>, Fault> {
    let attempt = |template: &[Attribute]| -> Result<Vec<ObjectHandle>, Fault> {
        Ok(match &new.public {
            Some(public) => <[_; 2]>::from(session.generate_key_pair(&new.generator, public, template)?).to_vec(),
            None => vec![session.generate_key(&new.generator, template)?],
        })
    };
    let is_wish = |attribute: &Attribute| matches!(attribute, Attribute::Derive(_) | Attribute::Modifiable(_));
    let mut template = new.template.clone();
    for _ in 0..WISHES {
        match attempt(&template) {
            Err(fault) if fault.kind == Kind::Operator && template.last().is_some_and(is_wish) => {
                tracing::debug!(error = %fault.message, "asking for a key with one attribute less");
                template.pop();
            }
            other => {
                new.template = template;
                return other;
            }
        }
    }
    let made = attempt(&template);
    new.template = template;
    made
}

/// Some tokens take a template and make another key without a word.
fn as_asked(session: &Session, new: &NewKey, handles: &[ObjectHandle]) -> Result<(), Fault> {
    let asked = new.public.iter().chain([&new.template]);
    for (template, handle) in asked.zip(handles) {
        compare(template, &key::read(session, *handle)?)?;
    }
    Ok(())
}

fn compare(template: &[Attribute], found: &Attributes) -> Result<(), Fault> {
    for (attribute, wanted) in key::named(template).0 {
        match found.get(attribute) {
            Some(value) if *value == wanted => {}
            Some(value) => {
                return Err(Fault::operator(format!("asked for {attribute} {wanted}, the token made it {value}")));
            }
            None => return Err(Fault::operator(format!("the token does not show {attribute} of the key it made"))),
        }
    }
    Ok(())
}

fn destroy(session: &Session, keys: &[ObjectHandle], why: Fault) -> Fault {
    let destroyed: Result<Vec<()>, _> = keys.iter().map(|key| session.destroy_object(*key)).collect();
    let fate = match destroyed {
        Ok(_) => "the key was destroyed again".to_owned(),
        Err(error) => format!("the key could not be destroyed ({}): delete it", Fault::from(error).message),
    };
    Fault { message: format!("{}; {fate}", why.message), ..why }
}

/// Opens the new keys as the server will, which also finds a second one made at the same time.
fn open_when_ready(entry: Entry, config: &Config, number: u32) -> Result<Connection, Fault> {
    let roles = mechanism::roles(number, config)?;
    let missing = |session: &Session| {
        let found =
            |(role, label): &(&Role, &str)| key::labelled(session, role, label, None).map(|keys| !keys.is_empty());
        roles.iter().map(found).collect::<Result<Vec<bool>, Fault>>().map(|found| found.contains(&false))
    };
    let mut waited = 0;
    while waited < PATIENCE && missing(&entry.door.session()?)? {
        waited += 1;
        thread::sleep(PAUSE);
    }
    let mut result = Connection::over(entry, config);
    while waited < PATIENCE
        && let Err(fault) = &result
        && fault.kind.may_pass()
    {
        waited += 1;
        thread::sleep(PAUSE);
        result = Connection::open(config);
    }
    result
        .map_err(|fault| Fault { message: format!("the key was made but cannot be used: {}", fault.message), ..fault })
}
