//! `sys/internal/specs/openapi`: every route that exists, made from the routes themselves (OpenAPI 3.0.2).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use framework::Operation::{Read, Update};
use framework::{Access, Catalog, Context, Engine, Error, Field, Json, Kind, Map, Operation, Route, fields};
use registry::{Mount, MountClass, Registry};
use serde_json::json;

use crate::Core;
use crate::internal::Sight;

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let make = || {
        let (registry, catalog, version) =
            (Arc::clone(&core.registry), core.catalog.clone(), Arc::clone(&core.versions.reported));
        move |cx: &Context<'_>, asked: Asked| document(&registry, &catalog, &version, cx, &asked)
    };
    let about = "The API as an OpenAPI document, as far as the caller may use it.";
    // Asked with any token, and without one: the answer holds the mounts that the caller sees.
    [Read, Update].map(|op| Route::new(op, "internal/specs/openapi", about, make()).bare().open().sees_token()).into()
}

fields! {
    struct Asked {
        /// Leave the paths of mounts to be filled in, as parameters.
        generic_mount_paths: bool = false,
        /// Put behind the id of every operation.
        context: Option<String>,
    }
}

fn document(
    registry: &Registry,
    catalog: &Weak<Catalog>,
    version: &str,
    cx: &Context<'_>,
    asked: &Asked,
) -> Result<Map<String, Json>, Error> {
    let catalog = catalog.upgrade().ok_or_else(|| Error::internal("the catalog of engines is gone"))?;
    let sight = Sight::of(registry, cx)?;
    let mut paths: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
    for class in [MountClass::Secret, MountClass::Auth] {
        for mount in registry.mounts(class)?.iter().filter(|mount| sight.sees(mount)) {
            if let Ok(engine) = mount.engine(&catalog) {
                let place = Place::of(mount, asked.generic_mount_paths);
                engine_paths(&place, engine, asked.context.as_deref(), &mut paths);
            }
        }
    }
    let document = json!({
        "openapi": "3.0.2",
        "info": {
            "title": "Holdfast API",
            "description": "HTTP API that gives you full access to the server. All API routes are prefixed with `/v1/`.",
            "version": version,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "paths": paths,
    });
    match document {
        Json::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// Where an engine's paths begin.
struct Place {
    path: String,
    /// The parameter that stands for the mount's path, and the path.
    parameter: Option<(String, String)>,
}

impl Place {
    fn of(mount: &Mount, generic: bool) -> Self {
        let path = mount.entry.path.as_str();
        let prefix = mount.entry.class().prefix();
        let own = path.strip_prefix(prefix).unwrap_or(path).trim_end_matches('/');
        // There is one of each of these, and always there.
        if !generic || matches!(mount.info.kind.as_str(), "system" | "cubbyhole" | "token" | "identity") {
            return Self { path: path.to_owned(), parameter: None };
        }
        let name = format!("{}_mount_path", own.replace('/', "_"));
        Self { path: format!("{prefix}{{{name}}}/"), parameter: Some((name, own.to_owned())) }
    }
}

fn engine_paths(
    place: &Place,
    engine: &Engine,
    context: Option<&str>,
    paths: &mut BTreeMap<String, Map<String, Json>>,
) {
    // A listing is a variant of the reading on the same path, whichever is declared first.
    let (lists, others): (Vec<&Route>, Vec<&Route>) =
        engine.routes.iter().partition(|route| route.operation == Operation::List);
    for route in others.into_iter().chain(lists) {
        let path = format!("/{}{}", place.path, route.pattern.as_str().replace("*}", "}"));
        let method = match route.operation {
            Operation::Read | Operation::List => "get",
            Operation::Create | Operation::Update => "post",
            Operation::Patch => "patch",
            Operation::Delete => "delete",
        };
        let id = operation_id(method, &path, context);
        let at = paths.entry(path).or_default();
        if let Some(Json::Object(old)) = at.get_mut(method) {
            // GET and LIST share a path: one operation, told apart by the parameter `list`.
            add_list(old, route);
            continue;
        }
        let mut operation = operation(route);
        if let Json::Object(map) = &mut operation {
            map.insert("operationId".into(), id.into());
            if let (Some(Json::Array(parameters)), Some((name, path))) = (map.get_mut("parameters"), &place.parameter) {
                let schema = json!({"type": "string", "default": path});
                let about = "Path that the engine is mounted at.";
                parameters.push(
                    json!({"name": name, "in": "path", "required": true, "description": about, "schema": schema}),
                );
            }
        }
        at.insert(method.to_owned(), operation);
    }
}

/// One of a kind, and made of nothing that changes from one document to the next.
fn operation_id(method: &str, path: &str, context: Option<&str>) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<&str> = std::iter::once(method).chain(words).chain(context).collect();
    words.join("-")
}

fn add_list(operation: &mut Map<String, Json>, route: &Route) {
    let parameter =
        json!({"name": "list", "in": "query", "description": "Return a list if `true`", "schema": {"type": "string"}});
    if let Some(Json::Array(parameters)) = operation.get_mut("parameters") {
        parameters.push(parameter);
    }
    operation.insert("x-list".to_owned(), json!({"summary": route.about, "response": schema(&route.response)}));
}

fn operation(route: &Route) -> Json {
    let in_path: Vec<&str> = route.pattern.names().collect();
    let (path, other): (Vec<&Field>, Vec<&Field>) =
        route.request.iter().partition(|field| in_path.contains(&field.name));
    let mut parameters: Vec<Json> = path.into_iter().map(|field| parameter(field, "path", true)).collect();
    let mut operation = json!({
        "summary": route.about,
        "x-operation": route.operation.name(),
        "responses": {"200": {"description": "OK", "content": answer(route)}},
    });
    let Json::Object(map) = &mut operation else { return operation };
    if route.operation.has_body() {
        let body: Vec<Field> = other.into_iter().cloned().collect();
        if route.streamed {
            map.insert("requestBody".into(), json!({"required": true, "content": bytes()}));
        } else if !body.is_empty() {
            map.insert(
                "requestBody".into(),
                json!({"required": true, "content": {"application/json": {"schema": schema(&body)}}}),
            );
        }
    } else {
        parameters.extend(other.into_iter().map(|field| parameter(field, "query", field.required)));
    }
    if route.operation == Operation::List {
        parameters.push(json!({"name": "list", "in": "query", "required": true, "description": "Must be set to `true`", "schema": {"type": "string", "enum": ["true"]}}));
    }
    map.insert("parameters".into(), Json::Array(parameters));
    match route.access {
        Access::Open => drop(map.insert("x-vault-unauthenticated".into(), true.into())),
        Access::Sudo => drop(map.insert("x-vault-sudo".into(), true.into())),
        Access::Token => {}
    }
    operation
}

fn parameter(field: &Field, location: &str, required: bool) -> Json {
    json!({"name": field.name, "in": location, "required": required, "description": field.about, "schema": kind(field.kind)})
}

fn answer(route: &Route) -> Json {
    if route.streamed && !route.operation.has_body() {
        return bytes();
    }
    let schema = if route.bare {
        schema(&route.response)
    } else {
        json!({"type": "object", "properties": {"data": schema(&route.response)}})
    };
    json!({"application/json": {"schema": schema}})
}

/// A body that is handed on as it comes.
fn bytes() -> Json {
    json!({"*/*": {"schema": {"type": "string", "format": "binary"}}})
}

fn schema(fields: &[Field]) -> Json {
    let properties: Map<String, Json> = fields
        .iter()
        .map(|field| {
            let mut property = kind(field.kind);
            if let Json::Object(map) = &mut property {
                map.insert("description".into(), field.about.into());
            }
            (field.name.to_owned(), property)
        })
        .collect();
    json!({"type": "object", "properties": properties})
}

fn kind(kind: Kind) -> Json {
    match kind {
        Kind::String => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Seconds => json!({"type": "integer", "format": "seconds"}),
        Kind::Strings => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Object => json!({"type": "object"}),
        Kind::Any => json!({}),
    }
}
