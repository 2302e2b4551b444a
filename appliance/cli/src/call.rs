//! One command being run: its flags, arguments and streams, and the shared ways to answer.

use serde_json::Value;

use crate::client::Client;
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::Parsed;
use crate::offline::Offline;
use crate::output::{self, Format};
use crate::secret::Secret;
use crate::settings::Settings;

/// What a command's function gets.
pub(crate) struct Call<'a, 'c> {
    pub(crate) flags: Parsed,
    pub(crate) arguments: Vec<String>,
    pub(crate) console: &'a mut Console<'c>,
    pub(crate) format: Format,
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) offline: &'a Offline,
}

impl Call<'_, '_> {
    /// The argument at `index`, or nothing if it was not given.
    pub(crate) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn settings(&self) -> Settings<'_> {
        Settings::new(&self.flags, self.environment)
    }

    /// The client as flags, environment and token file describe it.
    pub(crate) fn client(&mut self) -> Result<Client, Failure> {
        let settings = Settings::new(&self.flags, self.environment);
        Client::new(&settings)
    }

    /// Prints a sentence where people read: not in the machine formats.
    pub(crate) fn say(&mut self, sentence: &str) -> Result<(), Failure> {
        if self.format == Format::Table { self.console.line(sentence) } else { Ok(()) }
    }

    /// Prints an answer in the format asked for, or the one field asked for, with the server's warnings.
    pub(crate) fn show(&mut self, secret: &Secret) -> Result<(), Failure> {
        if let Some(field) = self.flags.text("field") {
            let value = secret.field(field).ok_or_else(|| missing_field(field, "secret"))?;
            return output::field(self.console, self.format, &value);
        }
        output::secret(self.console, self.format, secret)
    }

    /// Prints a plain object as `Key Value` rows or in a machine format, or the one field asked for.
    pub(crate) fn show_object(&mut self, object: &Value, order: &[&str]) -> Result<(), Failure> {
        if let Some(field) = self.flags.text("field") {
            let value = object.get(field).ok_or_else(|| missing_field(field, "map"))?;
            return output::field(self.console, self.format, value);
        }
        output::object(self.console, self.format, object, order)
    }
}

/// The failure for a `-field` that is not there.
pub(crate) fn missing_field(field: &str, place: &str) -> Failure {
    Failure::local(format!("Field {field:?} not present in {place}"))
}
