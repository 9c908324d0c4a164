//! Puts the site's names into the files of `sql/`. They use psql's syntax for variables, `:"name"` for a quoted
//! identifier and `:name` for text that is put in as it is, because readers of SQL know it; psql itself would leave the
//! bodies of functions alone.

use std::collections::BTreeMap;

/// What each variable stands for: an identifier still to be quoted, or a type name as PostgreSQL prints it.
pub type Variables = BTreeMap<&'static str, String>;

/// The text with every known variable replaced. `::` is left alone, and so is a colon that no known
/// variable follows.
pub fn render(text: &str, variables: &Variables) -> String {
    let tag = &free_tag(variables);
    let mut rendered = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find(':') {
        rendered.push_str(&with_tag(&rest[..colon], tag));
        rest = &rest[colon..];
        let (replacement, length) = variable(rest, variables);
        rendered.push_str(&replacement);
        rest = &rest[length..];
    }
    rendered + &with_tag(rest, tag)
}

/// One of the site's names may contain "$$", which would end the body of a function there.
fn with_tag(text: &str, tag: &str) -> String {
    text.replace("$$", tag)
}

/// A tag that is in none of the site's names.
fn free_tag(variables: &Variables) -> String {
    let mut tag = "$session_reaper".to_owned();
    while variables.values().any(|value| value.contains(&tag)) {
        tag.push('_');
    }
    tag + "$"
}

/// What to write for the colon at the start of `rest`, and how many bytes of it that replaces.
fn variable(rest: &str, variables: &Variables) -> (String, usize) {
    if rest.starts_with("::") {
        return ("::".to_owned(), 2);
    }
    let quoted = rest.starts_with(":\"");
    let start = if quoted { 2 } else { 1 };
    let length = rest[start..]
        .find(|c: char| !c.is_ascii_lowercase() && c != '_')
        .unwrap_or(rest.len() - start);
    match variables.get(&rest[start..start + length]) {
        Some(value) if quoted => (quote_identifier(value), start + length + 1),
        Some(value) => (value.clone(), start + length),
        None => (":".to_owned(), 1),
    }
}

/// An identifier as SQL text: the names of a site's tables are outside input.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as SQL text, for the statements that take no parameters.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted_and_types_stand_as_they_are() {
        let variables =
            Variables::from([("table", "a\"b".to_owned()), ("kind", "bigint".to_owned())]);
        assert_eq!(
            render(
                "select x::text, cast(y as :kind) from :\"table\" where 'a: b'",
                &variables
            ),
            "select x::text, cast(y as bigint) from \"a\"\"b\" where 'a: b'"
        );
    }

    #[test]
    fn no_name_can_end_the_body_of_a_function() {
        for name in [
            "a$$b",
            "$session_reaper$",
            "$session_reaper_$session_reaper$",
        ] {
            let variables = Variables::from([("column", name.to_owned())]);
            let text = render("as $$ select :\"column\" $$", &variables);
            let tag = text.split_whitespace().nth(1).unwrap();
            assert_eq!(text.matches(tag).count(), 2, "{text}");
        }
    }

    #[test]
    fn a_quote_in_a_literal_cannot_end_it() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("\\'"), "E'\\\\'''");
    }
}
