//! Characters to tokens.

use super::text::{heredoc, number, string};
use super::{MAX_VALUES, Number, ParseError, Position};

/// A place in the text that moves forward.
pub(super) struct Cursor<'t> {
    rest: &'t str,
    at: Position,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, at: Position { line: 1, column: 1 } }
    }

    pub(super) fn at(&self) -> Position {
        self.at
    }

    pub(super) fn rest(&self) -> &'t str {
        self.rest
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.at = Position { line: self.at.line.saturating_add(1), column: 1 };
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(c)
    }

    /// Moves over `c` if it is next.
    pub(super) fn take(&mut self, c: char) -> bool {
        self.peek() == Some(c) && self.next().is_some()
    }

    /// Moves over all characters that satisfy `wanted` and returns them.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let before = self.rest;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        before.get(..before.len() - self.rest.len()).unwrap_or_default()
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::new(self.at, message))
    }
}

pub(super) enum Token {
    Word(String),
    String(String),
    Heredoc(String),
    Number(Number),
    Bool(bool),
    Assign,
    Comma,
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    End,
}

impl Token {
    /// For messages; never what it says.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Word(_) => "a bare word",
            Self::String(_) => "a string",
            Self::Heredoc(_) => "a heredoc",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a boolean",
            Self::Assign => "`=`",
            Self::Comma => "`,`",
            Self::OpenBrace => "`{`",
            Self::CloseBrace => "`}`",
            Self::OpenBracket => "`[`",
            Self::CloseBracket => "`]`",
            Self::End => "the end of the text",
        }
    }
}

/// The tokens of a text, with one token of look-ahead.
pub(super) struct Scanner<'t> {
    cursor: Cursor<'t>,
    next: Option<(Position, Token)>,
    left: usize,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { cursor: Cursor::new(text), next: None, left: MAX_VALUES }
    }

    /// The next token and its place.
    pub(super) fn next(&mut self) -> Result<(Position, Token), ParseError> {
        match self.next.take() {
            Some(token) => Ok(token),
            None => self.scan(),
        }
    }

    /// Moves over a comma if one is next.
    pub(super) fn take_comma(&mut self) -> Result<(), ParseError> {
        let token = self.next()?;
        if !matches!(token.1, Token::Comma) {
            self.next = Some(token);
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(Position, Token), ParseError> {
        self.skip_blanks_and_comments()?;
        let at = self.cursor.at();
        let Some(first) = self.cursor.peek() else { return Ok((at, Token::End)) };
        let token = match first {
            '"' => Token::String(string(&mut self.cursor)?),
            '<' => Token::Heredoc(heredoc(&mut self.cursor)?),
            '0'..='9' | '-' | '.' => Token::Number(number(&mut self.cursor)?),
            c if c.is_alphabetic() || c == '_' => {
                match self.cursor.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
                    "true" => Token::Bool(true),
                    "false" => Token::Bool(false),
                    word => Token::Word(word.to_owned()),
                }
            }
            c => self.mark(c)?,
        };
        if matches!(token, Token::Word(_) | Token::String(_) | Token::Heredoc(_) | Token::Number(_) | Token::Bool(_)) {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => return Err(ParseError::new(at, format!("more than {MAX_VALUES} keys and values"))),
            };
        }
        Ok((at, token))
    }

    fn mark(&mut self, c: char) -> Result<Token, ParseError> {
        let token = match c {
            '=' => Token::Assign,
            ',' => Token::Comma,
            '{' => Token::OpenBrace,
            '}' => Token::CloseBrace,
            '[' => Token::OpenBracket,
            ']' => Token::CloseBracket,
            '\'' => return self.cursor.error("a string stands in double quotes"),
            _ => return self.cursor.error("a character that may only stand in a string"),
        };
        self.cursor.next();
        Ok(token)
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), ParseError> {
        loop {
            self.cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            let rest = self.cursor.rest();
            if rest.starts_with('#') || rest.starts_with("//") {
                self.cursor.take_while(|c| c != '\n');
            } else if rest.starts_with("/*") {
                let start = self.cursor.at();
                self.cursor.next();
                self.cursor.next();
                while !self.cursor.rest().starts_with("*/") {
                    if self.cursor.next().is_none() {
                        return Err(ParseError::new(start, "this comment has no end: `*/` is missing"));
                    }
                }
                self.cursor.next();
                self.cursor.next();
            } else {
                return Ok(());
            }
        }
    }
}
