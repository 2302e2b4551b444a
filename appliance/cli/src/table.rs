//! Plain-text tables in the reference client's layout: four spaces between columns, the last column unpadded.

use serde_json::Value;

/// Lays rows out in columns. An empty cell shows `n/a`. No final line end.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let shown: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| if cell.trim().is_empty() { "n/a" } else { cell.as_str() }).collect())
        .collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &shown {
        for (index, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(index) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let lines: Vec<String> = shown
        .iter()
        .map(|row| {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(cell);
                if index + 1 < row.len() {
                    let padding = width - cell.chars().count() + 4;
                    line.extend(std::iter::repeat_n(' ', padding));
                }
            }
            line
        })
        .collect();
    lines.join("\n")
}

/// A table under a header row, each header underlined by its own length.
pub(crate) fn with_header(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![
        header.iter().map(|name| (*name).to_owned()).collect(),
        header.iter().map(|name| "-".repeat(name.chars().count())).collect(),
    ];
    all.extend(rows);
    columns(&all)
}

/// `= Title =`, as wide as what stands below it.
pub(crate) fn title(title: &str, width: usize) -> String {
    let signs = match width.saturating_sub(title.len() + 2) {
        0 => 4,
        signs => signs + signs % 2,
    };
    let side = "=".repeat(signs / 2);
    format!("{side} {title} {side}")
}

/// A value in one cell, in the notation of the reference client: `map[a:b]`, `[a b]`, `<nil>`.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(cell).collect::<Vec<_>>().join(" ")),
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            let shown: Vec<_> = entries.iter().map(|(name, value)| format!("{name}:{}", cell(value))).collect();
            format!("map[{}]", shown.join(" "))
        }
        other => other.to_string(),
    }
}

/// A list of strings with each quoted: `["a" "b"]`.
pub(crate) fn quoted_list(value: Option<&Value>) -> String {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shown: Vec<String> = items.iter().map(|item| format!("{:?}", cell(item))).collect();
    format!("[{}]", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{cell, columns, title, with_header};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_the_last_is_not_padded() {
        let rows = vec![vec!["é".to_owned(), "x".to_owned(), String::new()]];
        assert_eq!(with_header(&["Key", "V", "Last"], rows), "Key    V    Last\n---    -    ----\né      x    n/a");
        assert_eq!(columns(&[vec!["a".to_owned()], vec!["bb".to_owned(), "c".to_owned()]]), "a\nbb    c");
    }

    #[test]
    fn titles_and_cells_match_the_reference_client() {
        assert_eq!(title("Secret Path", 15), "= Secret Path =");
        assert_eq!(title("Metadata", 24), "======= Metadata =======");
        assert_eq!(title("Data", 10), "== Data ==");
        let value = serde_json::json!({"b": [1, null, true], "a": {"c": ""}});
        assert_eq!(cell(&value), "map[a:map[c:] b:[1 <nil> true]]");
    }
}
