//! Tokens to a tree, for the HCL form.

use super::scan::{Scanner, Token};
use super::{Body, Item, MAX_DEPTH, ParseError, Position, Value};

pub(super) fn parse(text: &str) -> Result<Body, ParseError> {
    let mut scanner = Scanner::new(text);
    body(&mut scanner, None, 0)
}

/// A body up to its closing brace, or up to the end of the text where no brace `opened` it.
fn body(scanner: &mut Scanner<'_>, opened: Option<Position>, depth: usize) -> Result<Body, ParseError> {
    let mut body = Body { items: Vec::new(), at: opened.unwrap_or(Position { line: 1, column: 1 }) };
    loop {
        let (at, token) = scanner.next()?;
        let key = match (token, opened) {
            (Token::Word(key) | Token::String(key), _) => key,
            (Token::CloseBrace, Some(_)) | (Token::End, None) => return Ok(body),
            (Token::End, Some(opened)) => return Err(ParseError::new(opened, "this `{` is never closed")),
            (Token::CloseBrace, None) => return Err(ParseError::new(at, "this `}` closes nothing")),
            (other, _) => return Err(ParseError::new(at, format!("expected a key, found {}", other.kind()))),
        };
        body.items.push(item(scanner, key, at, depth)?);
        scanner.take_comma()?;
    }
}

fn item(scanner: &mut Scanner<'_>, key: String, at: Position, depth: usize) -> Result<Item, ParseError> {
    let mut labels = Vec::new();
    loop {
        let (here, token) = scanner.next()?;
        let value = match token {
            Token::Word(label) | Token::String(label) => {
                labels.push(label);
                continue;
            }
            Token::Assign if labels.is_empty() => {
                let (here, token) = scanner.next()?;
                value(scanner, here, token, depth)?
            }
            Token::Assign => return Err(ParseError::new(here, "a block with a label takes no `=` before its `{`")),
            Token::OpenBrace => value(scanner, here, token, depth)?,
            other => {
                // Without the key's name: a value that lacks its key stands here too.
                let message = format!("expected `=` or `{{` after a key, found {}", other.kind());
                return Err(ParseError::new(here, message));
            }
        };
        return Ok(Item { key, labels, value, at });
    }
}

fn value(scanner: &mut Scanner<'_>, at: Position, token: Token, depth: usize) -> Result<Value, ParseError> {
    if depth >= MAX_DEPTH {
        return Err(ParseError::new(at, format!("nested deeper than {MAX_DEPTH}")));
    }
    match token {
        Token::String(text) | Token::Heredoc(text) => Ok(Value::String(text)),
        Token::Number(number) => Ok(Value::Number(number)),
        Token::Bool(truth) => Ok(Value::Bool(truth)),
        Token::OpenBrace => body(scanner, Some(at), depth + 1).map(Value::Object),
        Token::OpenBracket => list(scanner, at, depth + 1).map(Value::List),
        Token::Word(_) => {
            Err(ParseError::new(at, "expected a value, found a bare word; a string stands in double quotes"))
        }
        other => Err(ParseError::new(at, format!("expected a value, found {}", other.kind()))),
    }
}

/// The rest of a list. HCL1 lets commas repeat, but wants one between two values.
fn list(scanner: &mut Scanner<'_>, opened: Position, depth: usize) -> Result<Vec<Value>, ParseError> {
    let mut values = Vec::new();
    let mut separated = true;
    loop {
        let (at, token) = scanner.next()?;
        match token {
            Token::CloseBracket => return Ok(values),
            Token::Comma => separated = true,
            Token::End => return Err(ParseError::new(opened, "this `[` is never closed")),
            _ if !separated => {
                let message = format!("expected `,` or `]` after a value in a list, found {}", token.kind());
                return Err(ParseError::new(at, message));
            }
            token => {
                values.push(value(scanner, at, token, depth)?);
                separated = false;
            }
        }
    }
}
