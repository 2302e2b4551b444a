//! The formatter behind `policy fmt`: HCL in, the same HCL in canonical layout out. Comments stay; what cannot be read
//! is refused with its line, never dropped.

use std::iter::Peekable;
use std::vec::IntoIter;

/// Formats a document. Formatting twice changes nothing.
pub(crate) fn format(text: &str) -> Result<String, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), line: 1 };
    let body = parser.body(false)?;
    let mut out = String::new();
    print_body(&mut out, &body, 0);
    Ok(out)
}

/// The texts of a document that is nothing but `key = "text"`, in order.
pub(crate) fn texts(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut parser = Parser { tokens: tokens(text)?.into_iter().peekable(), line: 1 };
    let items = parser.body(false)?;
    let with_content = items.into_iter().filter_map(|item| Some((item.head, item.content?)));
    with_content
        .map(|(key, content)| match content {
            Content::Attribute(Value::Scalar(word)) => serde_json::from_str(&word)
                .map(|text| (key.clone(), text))
                .map_err(|_| format!("{key:?} must have a text in quotes")),
            _ => Err(format!("{key:?} must be {key} = \"text\"")),
        })
        .collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// An identifier, a number, a quoted string or a whole here-document, as written.
    Word(String),
    Comment(String),
    Mark(char),
    Newline,
}

/// One line of a body. A comment or blank line of its own is an item without content.
#[derive(Default)]
struct Item {
    blank_before: bool,
    /// Everything in front of the value or block: `path "a"`, or the key of an attribute.
    head: String,
    content: Option<Content>,
    comment: Option<String>,
}

enum Content {
    Attribute(Value),
    Block(Vec<Item>),
}

enum Value {
    Scalar(String),
    Object(Vec<Item>),
    /// Elements and comments; whether they stand on lines of their own.
    List(Vec<Element>, bool),
}

enum Element {
    Value(Value, Option<String>),
    Comment(String),
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\n' => {
                found.push(Token::Newline);
                1
            }
            c if c.is_whitespace() => c.len_utf8(),
            '{' | '}' | '[' | ']' | ',' | '=' => {
                found.push(Token::Mark(first));
                1
            }
            '#' => comment(&mut found, rest, rest.find('\n')),
            '/' if rest.starts_with("//") => comment(&mut found, rest, rest.find('\n')),
            '/' if rest.starts_with("/*") => match rest.find("*/") {
                Some(end) => comment(&mut found, rest, Some(end + 2)),
                None => return Err(format!("line {line}: the comment has no end")),
            },
            '"' => {
                let end = string_end(rest).ok_or_else(|| format!("line {line}: the string has no end"))?;
                word(&mut found, rest, end)
            }
            '<' if rest.starts_with("<<") => {
                let end = heredoc_end(rest).ok_or_else(|| format!("line {line}: the here-document has no end"))?;
                word(&mut found, rest, end)
            }
            c if c.is_alphanumeric() || "_-.+*".contains(c) => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || "_-.+*".contains(c))).unwrap_or(rest.len());
                word(&mut found, rest, end)
            }
            other => return Err(format!("line {line}: unexpected {other:?}")),
        };
        let (taken, left) = rest.split_at_checked(length).unwrap_or((rest, ""));
        line += taken.matches('\n').count();
        rest = left;
    }
    Ok(found)
}

fn comment(found: &mut Vec<Token>, rest: &str, end: Option<usize>) -> usize {
    let end = end.unwrap_or(rest.len());
    found.push(Token::Comment(rest.get(..end).unwrap_or_default().trim_end().to_owned()));
    end
}

fn word(found: &mut Vec<Token>, rest: &str, end: usize) -> usize {
    found.push(Token::Word(rest.get(..end).unwrap_or_default().to_owned()));
    end
}

fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return None,
            '"' if !escaped => return Some(index + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    None
}

fn heredoc_end(text: &str) -> Option<usize> {
    let first_line = text.find('\n')?;
    let name = text.get(2..first_line)?.trim_start_matches('-').trim();
    let mut position = first_line + 1;
    loop {
        let line = text.get(position..)?.split_inclusive('\n').next()?;
        if line.trim() == name {
            return Some(position + line.trim_end().len());
        }
        position += line.len();
    }
}

struct Parser {
    tokens: Peekable<IntoIter<Token>>,
    line: usize,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.next();
        match &token {
            Some(Token::Newline) => self.line += 1,
            Some(Token::Word(text) | Token::Comment(text)) => self.line += text.matches('\n').count(),
            _ => {}
        }
        token
    }

    fn wrong<T>(&self, problem: &str) -> Result<T, String> {
        Err(format!("line {}: {problem}", self.line))
    }

    fn newlines(&mut self) -> usize {
        let mut count = 0;
        while self.tokens.next_if_eq(&Token::Newline).is_some() {
            self.line += 1;
            count += 1;
        }
        count
    }

    /// Items up to the closing brace, or up to the end of the document.
    fn body(&mut self, inside: bool) -> Result<Vec<Item>, String> {
        let mut items: Vec<Item> = Vec::new();
        loop {
            let newlines = self.newlines();
            let blank_before = newlines > 1 && !items.is_empty();
            match self.next() {
                None if inside => return self.wrong("a closing brace is missing"),
                None => return Ok(items),
                Some(Token::Mark('}')) if inside => return Ok(items),
                // Separators between attributes on one line, as JSON-like HCL has them.
                Some(Token::Mark(',')) => {}
                Some(Token::Comment(text)) => match items.last_mut() {
                    Some(last) if newlines == 0 && last.content.is_some() && last.comment.is_none() => {
                        last.comment = Some(text);
                    }
                    _ => items.push(Item { blank_before, comment: Some(text), ..Item::default() }),
                },
                Some(Token::Word(word)) => {
                    let (head, content) = self.item(word)?;
                    items.push(Item { blank_before, head, content: Some(content), comment: None });
                }
                Some(Token::Mark(mark)) => return self.wrong(&format!("unexpected {mark:?}")),
                Some(Token::Newline) => {}
            }
        }
    }

    fn item(&mut self, first: String) -> Result<(String, Content), String> {
        let mut head = first;
        loop {
            match self.next() {
                Some(Token::Word(word)) => {
                    head.push(' ');
                    head.push_str(&word);
                }
                Some(Token::Mark('{')) => return Ok((head, Content::Block(self.body(true)?))),
                Some(Token::Mark('=')) => return Ok((head, Content::Attribute(self.value()?))),
                _ => return self.wrong(&format!("{head:?} is followed by neither = nor {{")),
            }
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.next() {
            Some(Token::Word(word)) => Ok(Value::Scalar(word)),
            Some(Token::Mark('{')) => Ok(Value::Object(self.body(true)?)),
            Some(Token::Mark('[')) => self.list(),
            _ => self.wrong("a value is missing"),
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut elements: Vec<Element> = Vec::new();
        let mut lines = false;
        loop {
            let newlines = self.newlines();
            lines |= newlines > 0;
            match self.tokens.peek() {
                Some(Token::Mark(']')) => {
                    self.next();
                    return Ok(Value::List(elements, lines));
                }
                Some(Token::Mark(',')) => {
                    self.next();
                }
                Some(Token::Comment(text)) => {
                    let text = text.clone();
                    self.next();
                    lines = true;
                    match elements.last_mut() {
                        Some(Element::Value(_, comment @ None)) if newlines == 0 => *comment = Some(text),
                        _ => elements.push(Element::Comment(text)),
                    }
                }
                Some(_) => {
                    let value = self.value()?;
                    elements.push(Element::Value(value, None));
                }
                None => return self.wrong("a closing bracket is missing"),
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

impl Item {
    /// Whether the item takes lines of its own: a block, or a value of several lines.
    fn is_tall(&self) -> bool {
        matches!(self.content, Some(Content::Block(_) | Content::Attribute(Value::Object(_) | Value::List(_, true))))
    }

    /// Whether a blank line stands between `previous` and this item. A comment belongs to what follows it.
    fn stands_apart(&self, previous: Option<&Self>) -> bool {
        let Some(previous) = previous else { return false };
        let after_comment = previous.content.is_none();
        self.blank_before || !after_comment && (self.content.is_none() || self.is_tall() || previous.is_tall())
    }
}

fn print_body(out: &mut String, items: &[Item], depth: usize) {
    let mut previous = None;
    for (index, item) in items.iter().enumerate() {
        if item.stands_apart(previous) {
            out.push('\n');
        }
        previous = Some(item);
        indent(out, depth);
        match &item.content {
            None => {}
            Some(Content::Block(body)) => {
                out.push_str(&item.head);
                out.push(' ');
                print_braces(out, body, depth);
            }
            Some(Content::Attribute(value)) => {
                out.push_str(&format!("{:width$} = ", item.head, width = width(items, index)));
                print_value(out, value, depth);
            }
        }
        if let Some(comment) = &item.comment {
            if item.content.is_some() {
                out.push(' ');
            }
            out.push_str(comment);
        }
        out.push('\n');
    }
}

/// The width of the keys in the run of attributes around `index` that nothing interrupts.
fn width(items: &[Item], index: usize) -> usize {
    let mut widest = 0;
    let mut runs_over_index = false;
    let mut previous = None;
    for (position, item) in items.iter().enumerate() {
        let short = matches!(item.content, Some(Content::Attribute(_))) && !item.is_tall();
        let joined = !item.stands_apart(previous) && previous.is_some_and(|previous| previous.content.is_some());
        if !(short && joined) {
            if runs_over_index {
                break;
            }
            widest = 0;
        }
        widest = widest.max(item.head.chars().count());
        runs_over_index |= position == index;
        previous = Some(item);
    }
    widest
}

fn print_braces(out: &mut String, body: &[Item], depth: usize) {
    if body.is_empty() {
        out.push_str("{}");
        return;
    }
    out.push_str("{\n");
    print_body(out, body, depth + 1);
    indent(out, depth);
    out.push('}');
}

fn print_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Scalar(text) => out.push_str(text),
        Value::Object(body) => print_braces(out, body, depth),
        Value::List(elements, false) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                if let Element::Value(value, _) = element {
                    print_value(out, value, depth);
                }
            }
            out.push(']');
        }
        Value::List(elements, true) => {
            out.push_str("[\n");
            for element in elements {
                indent(out, depth + 1);
                match element {
                    Element::Comment(text) => out.push_str(text),
                    Element::Value(value, comment) => {
                        print_value(out, value, depth + 1);
                        out.push(',');
                        if let Some(comment) = comment {
                            out.push(' ');
                            out.push_str(comment);
                        }
                    }
                }
                out.push('\n');
            }
            indent(out, depth);
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn policies_get_the_canonical_layout_and_keep_their_comments() {
        // The expected text is what the reference client makes of the same policy.
        let policy = r#"
path "b" {
 min_wrapping_ttl="1s"
 capabilities=[
 "list",  # why
 "read"]
 max_wrapping_ttl="5s"
 # note
 expiration="2" # trailing
 comment = "x"

 required_parameters=["a","b"]
  denied_parameters = { "x" = []
  "yy" = ["*"] }
  allowed_parameters = {}
}
path "c" {}
path "d" { capabilities = ["sudo"] } # end
/* block
 comment */
path "e" {

  capabilities = ["sudo"]

}"#;
        let formatted = r#"path "b" {
  min_wrapping_ttl = "1s"

  capabilities = [
    "list", # why
    "read",
  ]

  max_wrapping_ttl = "5s"

  # note
  expiration = "2" # trailing
  comment    = "x"

  required_parameters = ["a", "b"]

  denied_parameters = {
    "x"  = []
    "yy" = ["*"]
  }

  allowed_parameters = {}
}

path "c" {}

path "d" {
  capabilities = ["sudo"]
} # end

/* block
 comment */
path "e" {
  capabilities = ["sudo"]
}
"#;
        assert_eq!(format(policy).unwrap(), formatted);
        assert_eq!(format(formatted).unwrap(), formatted, "formatting is idempotent");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_line() {
        for (text, said) in [
            ("path \"a\" {\n", "line 2: a closing brace is missing"),
            ("\npath \"a", "line 2: the string has no end"),
            ("a = [1", "line 1: a closing bracket is missing"),
            ("a b", "neither = nor {"),
            ("a = ;", "unexpected ';'"),
            ("/* x", "the comment has no end"),
            ("a = <<E\nx", "the here-document has no end"),
        ] {
            let problem = format(text).unwrap_err();
            assert!(problem.contains(said), "{text}: {problem}");
        }
        assert_eq!(format("a = <<E\n  x\nE\nb = 1").unwrap(), "a = <<E\n  x\nE\nb = 1\n");
    }
}
