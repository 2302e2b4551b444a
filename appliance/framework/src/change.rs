//! Requests that change records, and structs put together from others.

use std::marker::PhantomData;

use crate::{Error, Field, Fields, Input, Json, Map};

/// Both structs' fields, in one flat object: how a struct takes in fields that others have too.
impl<A: Fields, B: Fields> Fields for (A, B) {
    fn fields() -> Vec<Field> {
        let mut fields = A::fields();
        fields.extend(B::fields());
        fields
    }

    fn parse(input: &mut Input) -> Result<Self, Error> {
        Ok((A::parse(input)?, B::parse(input)?))
    }

    fn emit(self) -> Map<String, Json> {
        let mut map = self.0.emit();
        map.extend(self.1.emit());
        map
    }
}

/// A request that changes a record: any of the record's fields. What is absent or null stays as it is.
pub struct Change<T> {
    given: Map<String, Json>,
    record: PhantomData<T>,
}

impl<T: Fields> Fields for Change<T> {
    fn fields() -> Vec<Field> {
        T::fields().into_iter().map(|field| Field { required: false, ..field }).collect()
    }

    fn parse(input: &mut Input) -> Result<Self, Error> {
        let given =
            |field: Field| Some((field.name.to_owned(), input.take(field.name).filter(|value| !value.is_null())?));
        Ok(Self { given: T::fields().into_iter().filter_map(given).collect(), record: PhantomData })
    }

    fn emit(self) -> Map<String, Json> {
        self.given
    }
}

impl<T: Fields> Change<T> {
    /// Whether a field is to be changed.
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// What a field is to become.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.given.get(name)
    }

    /// Gives a field; null puts it back to its default.
    pub fn set(&mut self, name: &'static str, value: Json) {
        self.given.insert(name.to_owned(), value);
    }

    /// Takes `old` as the deprecated name of the field `new`, as Vault does: `new` counts where both are given, and the record
    /// shows `old` for as long as it is the name that was used last.
    pub fn supersede(&mut self, old: &'static str, new: &'static str) {
        match (self.given.get(old), self.given.get(new)) {
            (Some(value), None) => drop(self.given.insert(new.to_owned(), value.clone())),
            (Some(_), Some(value)) => drop(self.given.insert(old.to_owned(), value.clone())),
            (None, Some(_)) => drop(self.given.insert(old.to_owned(), Json::Null)),
            (None, None) => {}
        }
    }

    /// The record with the changes. [`Error::Invalid`] names the field that is of the wrong type.
    pub fn over(self, record: T) -> Result<T, Error> {
        let mut body = record.emit();
        body.extend(self.given);
        T::parse(&mut Input { path: Vec::new(), body })
    }
}

/// Changes by name; null puts a field back to its default.
impl<T> FromIterator<(String, Json)> for Change<T> {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(changes: I) -> Self {
        Self { given: changes.into_iter().collect(), record: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    crate::fields! {
        struct Name {
            /// A name.
            name: String = String::new(),
            /// The deprecated name of `size`.
            length: Option<u64>,
        }

        struct Size {
            /// A size.
            size: u64 = 7,
        }
    }

    type Record = (Name, Size);

    fn changed(record: Json, request: Json) -> Json {
        let object = |json: Json| Input { path: Vec::new(), body: json.as_object().unwrap().clone() };
        let mut change = Change::<Record>::parse(&mut object(request)).unwrap();
        change.supersede("length", "size");
        match change.over(Record::parse(&mut object(record)).unwrap()) {
            Ok(record) => Json::Object(record.emit()),
            Err(error) => error.to_string().into(),
        }
    }

    #[test]
    fn what_is_not_given_stays() {
        assert_eq!(changed(json!({}), json!({"name": "a"})), json!({"name": "a", "size": 7}));
        assert_eq!(changed(json!({"name": "a", "size": 1}), json!({"size": "2"})), json!({"name": "a", "size": 2}));
        assert_eq!(changed(json!({"size": 1}), json!({"size": null})), json!({"name": "", "size": 1}));
        let refused = changed(json!({}), json!({"size": []}));
        assert!(refused.as_str().unwrap().contains("\"size\""), "{refused}");
    }

    #[test]
    fn a_deprecated_name_is_shown_while_it_is_in_use() {
        let old = changed(json!({}), json!({"length": 3}));
        assert_eq!(old, json!({"name": "", "length": 3, "size": 3}));
        assert_eq!(changed(old.clone(), json!({"name": "a"})), json!({"name": "a", "length": 3, "size": 3}));
        assert_eq!(changed(old.clone(), json!({"size": 4})), json!({"name": "", "size": 4}));
        assert_eq!(changed(old, json!({"size": 4, "length": 5})), json!({"name": "", "length": 4, "size": 4}));
    }
}
