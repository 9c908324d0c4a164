//! The form `host=db.example user=app password='it''s'`, read and written.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Takes such a string apart. Errors do not quote it.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        skip_spaces(&mut rest);
        if rest.peek().is_none() {
            return Ok(pairs);
        }
        let name = name(&mut rest);
        skip_spaces(&mut rest);
        if rest.next() != Some('=') {
            return Err(format!(
                "its parameter number {} has no value",
                pairs.len() + 1
            ));
        }
        skip_spaces(&mut rest);
        let value = value(&mut rest).ok_or("a quote in it is not closed")?;
        pairs.push((name, value));
    }
}

/// Writes such a string, with every value quoted.
pub(super) fn join(parameters: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        let value = value.replace('\\', r"\\").replace('\'', r"\'");
        text.push_str(&format!("{name}='{value}' "));
    }
    text
}

fn skip_spaces(rest: &mut Peekable<Chars>) {
    while rest.next_if(|c| c.is_whitespace()).is_some() {}
}

fn name(rest: &mut Peekable<Chars>) -> String {
    std::iter::from_fn(|| rest.next_if(|c| *c != '=' && !c.is_whitespace())).collect()
}

fn value(rest: &mut Peekable<Chars>) -> Option<String> {
    let quoted = rest.next_if_eq(&'\'').is_some();
    let mut value = String::new();
    loop {
        match rest.next() {
            Some('\'') if quoted => return Some(value),
            Some('\\') => value.extend(rest.next()),
            Some(c) if !quoted && c.is_whitespace() => return Some(value),
            Some(c) => value.push(c),
            None => return (!quoted).then_some(value),
        }
    }
}
