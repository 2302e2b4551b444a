//! Documentation of a path, from the routes themselves.

use framework::{Engine, Field, Json, Map, Output};

/// The text for `?help=1`.
pub(crate) fn text(engine: &Engine, path: &str) -> String {
    let mut text = String::new();
    let here: Vec<_> = engine.routes_at(path).collect();
    if path.is_empty() || here.is_empty() {
        text.push_str(&format!(
            "## DESCRIPTION\n\n{}\n\n## PATHS\n\nThe following paths are supported by this backend.\n",
            engine.about
        ));
        for route in &engine.routes {
            text.push_str(&format!(
                "\n    {} ({})\n        {}\n",
                route.pattern.as_str(),
                route.operation,
                route.about
            ));
        }
        return text;
    }
    for route in here {
        text.push_str(&format!(
            "Request:        {}\nOperation:      {}\n\n{}\n",
            route.pattern.as_str(),
            route.operation,
            route.about
        ));
        fields(&mut text, "PARAMETERS", &route.request);
        fields(&mut text, "ANSWER", &route.response);
        text.push('\n');
    }
    text
}

fn fields(text: &mut String, title: &str, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    text.push_str(&format!("\n## {title}\n"));
    for field in fields {
        text.push_str(&format!("\n    {} ({:?})\n        {}\n", field.name, field.kind, field.about));
    }
}

/// The answer that carries it.
pub(crate) fn output(text: String) -> Output {
    let mut data = Map::new();
    data.insert("help".into(), text.into());
    data.insert("see_also".into(), Json::Null);
    data.insert("openapi".into(), Json::Null);
    Output { data: Some(data), ..Output::default() }
}
