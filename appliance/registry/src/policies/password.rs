//! Password policies: kept as they were written, once it is sure that they can be kept.

use framework::{Error, Page, PasswordPolicy, Secret, View};

use crate::names;
use crate::registry::Registry;

impl Registry {
    /// The text of the password policy `name`.
    pub fn password_policy(&self, view: &View<'_>, name: &str) -> Result<Option<String>, Error> {
        let Some(record) = view.get(&key(name))? else { return Ok(None) };
        String::from_utf8(record.expose().to_vec()).map(Some).map_err(Error::internal)
    }

    /// Writes a password policy. [`Error::Invalid`] if it is none.
    pub fn put_password_policy(&self, view: &View<'_>, name: &str, text: &str) -> Result<(), Error> {
        PasswordPolicy::parse(text, &*self.rng)?;
        view.put(&key(name), Secret::from(text))
    }

    /// Deletes a password policy; one that is not there is no error.
    pub fn delete_password_policy(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        view.delete(&key(name))
    }

    /// The names of all password policies, sorted.
    pub fn password_policies(&self, view: &View<'_>) -> Result<Vec<String>, Error> {
        let segments = view.list(names::PASSWORD_POLICIES, &Page::default())?;
        let mut all: Vec<String> = segments.iter().map(|segment| names::unsegment(segment)).collect();
        all.sort();
        Ok(all)
    }

    /// A new password by the policy `name`; `None` if there is no such policy.
    pub fn generate_password(&self, view: &View<'_>, name: &str) -> Result<Option<Secret>, Error> {
        let text = self.password_policy(view, name)?;
        text.map(|text| PasswordPolicy::parse(&text, &*self.rng)?.generate(&*self.rng)).transpose()
    }
}

fn key(name: &str) -> String {
    format!("{}{}", names::PASSWORD_POLICIES, names::segment(name))
}
