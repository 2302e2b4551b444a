//! `sys/internal/specs/openapi`: every route that exists, made from the routes themselves (OpenAPI 3.0.2).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use framework::Operation::Read;
use framework::{Access, Catalog, Context, Engine, Error, Field, Json, Kind, Map, Operation, Route};
use registry::{MountClass, Registry};
use serde_json::json;

use crate::{Core, Nothing};

pub(crate) fn routes(core: &Core) -> Vec<Route> {
    let (registry, catalog, version) =
        (Arc::clone(&core.registry), core.catalog.clone(), Arc::clone(&core.versions.reported));
    let make = move |_: &Context<'_>, _: Nothing| document(&registry, &catalog, &version);
    vec![Route::new(Read, "internal/specs/openapi", "The API as an OpenAPI document.", make).bare()]
}

fn document(registry: &Registry, catalog: &Weak<Catalog>, version: &str) -> Result<Map<String, Json>, Error> {
    let catalog = catalog.upgrade().ok_or_else(|| Error::internal("the catalog of engines is gone"))?;
    let mut paths: BTreeMap<String, Map<String, Json>> = BTreeMap::new();
    for class in [MountClass::Secret, MountClass::Auth] {
        for mount in registry.mounts(class)? {
            if let Some(engine) = catalog.find(&mount.info.kind, &mount.info.options) {
                engine_paths(&mount.entry.path, engine, &mut paths);
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

fn engine_paths(mount: &str, engine: &Engine, paths: &mut BTreeMap<String, Map<String, Json>>) {
    for route in &engine.routes {
        let path = format!("/{mount}{}", route.pattern.as_str().replace("*}", "}"));
        let at = paths.entry(path).or_default();
        let method = match route.operation {
            Operation::Read | Operation::List => "get",
            Operation::Create | Operation::Update => "post",
            Operation::Patch => "patch",
            Operation::Delete => "delete",
        };
        if let Some(Json::Object(old)) = at.get_mut(method) {
            // GET and LIST share a path: one operation, told apart by the parameter `list`.
            add_list(old, route);
            continue;
        }
        at.insert(method.to_owned(), operation(route));
    }
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
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer(route)}}}},
    });
    let Json::Object(map) = &mut operation else { return operation };
    if route.operation.has_body() {
        if !other.is_empty() {
            let body: Vec<Field> = other.into_iter().cloned().collect();
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
    if route.bare {
        schema(&route.response)
    } else {
        json!({"type": "object", "properties": {"data": schema(&route.response)}})
    }
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
