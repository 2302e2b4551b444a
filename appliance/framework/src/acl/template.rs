//! `{{identity.…}}` in the paths of policies.

use std::collections::BTreeMap;
use std::ops::Range;

/// Whom templates are filled in for: an entity, its aliases and its groups. Nothing of it is secret.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The entity's id.
    pub id: String,
    /// The entity's name.
    pub name: String,
    /// The entity's metadata.
    pub metadata: BTreeMap<String, String>,
    /// The entity's aliases by the accessor of the auth mount they belong to.
    pub aliases: BTreeMap<String, Alias>,
    /// The groups of the entity, also by way of other groups.
    pub groups: Vec<Group>,
}

/// An entity's name in one auth mount.
#[derive(Clone, Debug, Default)]
pub struct Alias {
    /// The alias's id.
    pub id: String,
    /// What the auth method calls the client.
    pub name: String,
    /// What the auth method says about it.
    pub metadata: BTreeMap<String, String>,
    /// What an operator says about it.
    pub custom_metadata: BTreeMap<String, String>,
}

/// A group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The group's id.
    pub id: String,
    /// The group's name.
    pub name: String,
    /// The group's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// What values may be filled in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Values {
    /// Values with a slash in them. Without this, a path that needs such a value is not in the policy: who chooses a name
    /// must not choose how deep the path reaches.
    pub slashes: bool,
    /// A `*` or `+` in a value is a wildcard. Without this it stands for itself.
    pub wildcards: bool,
}

/// A path with directives in it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
    /// Whether the slash that a path may begin with was in the policy; if not, it may come with the first value.
    stripped: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Directive(Directive),
}

#[derive(Clone, Debug)]
enum Directive {
    Entity(Field),
    Alias { accessor: String, field: Field },
    GroupById { id: String, field: Field },
    GroupByName { name: String, field: Field },
}

#[derive(Clone, Debug)]
enum Field {
    Id,
    Name,
    Metadata(String),
    CustomMetadata(String),
}

/// A path with everything filled in.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// The bytes of `text` in which there are no wildcards, since they were filled in.
    pub(super) filled: Vec<Range<usize>>,
}

impl Template {
    /// Splits a path at its directives. One slash at the beginning is dropped, as Vault does.
    pub(super) fn parse(path: &str) -> Result<Self, String> {
        const UNBALANCED: &str = "failed to validate policy templating: unbalanced templating characters";
        let mut parts = Vec::new();
        let (path, stripped) = path.strip_prefix('/').map_or((path, false), |rest| (rest, true));
        for (index, piece) in path.split("{{").enumerate() {
            let text = match piece.split_once("}}") {
                None if index == 0 => piece,
                Some((directive, text)) if index > 0 && !text.contains("}}") => {
                    parts.push(Part::Directive(Directive::parse(directive.trim())?));
                    text
                }
                _ => return Err(UNBALANCED.to_owned()),
            };
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
        }
        Ok(Self { parts, stripped })
    }

    pub(super) fn templated(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Directive(_)))
    }

    /// The path for an identity; `None` if it has no fitting value for a directive: then the path is not in the policy.
    pub(super) fn render(&self, identity: Option<&Identity>, values: Values) -> Option<Rendered> {
        let mut path = Rendered::default();
        for part in &self.parts {
            match part {
                Part::Text(text) => path.text.push_str(text),
                Part::Directive(directive) => {
                    let value = directive.value(identity?).filter(|value| values.slashes || !value.contains('/'))?;
                    let start = path.text.len();
                    let slash = start == 0 && !self.stripped;
                    path.text.push_str(value.strip_prefix('/').filter(|_| slash).unwrap_or(value));
                    if !values.wildcards {
                        path.filled.push(start..path.text.len());
                    }
                }
            }
        }
        Some(path)
    }
}

impl Directive {
    fn parse(text: &str) -> Result<Self, String> {
        let unknown = || format!("failed to validate policy templating: no such directive: {{{{{text}}}}}");
        let selector = text.strip_prefix("identity.").ok_or_else(unknown)?;
        let directive = if let Some(rest) = selector.strip_prefix("entity.aliases.") {
            rest.split_once('.').and_then(|(accessor, field)| {
                Some(Self::Alias { accessor: accessor.to_owned(), field: Field::parse(field)? })
            })
        } else if let Some(field) = selector.strip_prefix("entity.") {
            Field::parse(field).filter(Field::not_custom).map(Self::Entity)
        } else if let Some(rest) = selector.strip_prefix("groups.ids.") {
            rest.split_once('.').and_then(|(id, field)| {
                Some(Self::GroupById { id: id.to_owned(), field: Field::parse(field).filter(Field::not_custom)? })
            })
        } else if let Some(rest) = selector.strip_prefix("groups.names.") {
            rest.split_once('.').and_then(|(name, field)| {
                Some(Self::GroupByName { name: name.to_owned(), field: Field::parse(field).filter(Field::not_custom)? })
            })
        } else {
            None
        };
        directive.ok_or_else(unknown)
    }

    fn value<'i>(&self, identity: &'i Identity) -> Option<&'i str> {
        match self {
            Self::Entity(field) => field.of(&identity.id, &identity.name, &identity.metadata, &identity.metadata),
            Self::Alias { accessor, field } => {
                let alias = identity.aliases.get(accessor)?;
                field.of(&alias.id, &alias.name, &alias.metadata, &alias.custom_metadata)
            }
            Self::GroupById { id, field } => field.of_group(identity.groups.iter().find(|group| group.id == *id)?),
            Self::GroupByName { name, field } => {
                field.of_group(identity.groups.iter().find(|group| group.name == *name)?)
            }
        }
    }
}

impl Field {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('.') {
            None if text == "id" => Some(Self::Id),
            None if text == "name" => Some(Self::Name),
            Some(("metadata", key)) => Some(Self::Metadata(key.to_owned())),
            Some(("custom_metadata", key)) => Some(Self::CustomMetadata(key.to_owned())),
            _ => None,
        }
    }

    fn not_custom(&self) -> bool {
        !matches!(self, Self::CustomMetadata(_))
    }

    /// An empty id or name counts as none; metadata may be empty.
    fn of<'i>(
        &self,
        id: &'i str,
        name: &'i str,
        metadata: &'i BTreeMap<String, String>,
        custom: &'i BTreeMap<String, String>,
    ) -> Option<&'i str> {
        match self {
            Self::Id => Some(id).filter(|id| !id.is_empty()),
            Self::Name => Some(name).filter(|name| !name.is_empty()),
            Self::Metadata(key) => metadata.get(key).map(String::as_str),
            Self::CustomMetadata(key) => custom.get(key).map(String::as_str),
        }
    }

    fn of_group<'i>(&self, group: &'i Group) -> Option<&'i str> {
        self.of(&group.id, &group.name, &group.metadata, &group.metadata)
    }
}
