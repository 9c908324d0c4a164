//! Text inside HTML: the names of roles, applications and reasons are whatever their owners like.

use std::fmt;

/// Writes a text so that a browser shows it as it is, wherever it appears.
pub struct Escaped<'a>(&'a str);

/// See [`Escaped`].
pub fn escaped(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // These have no place in a page, and could turn the text around them.
            letter if letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter) => {
                f.write_str("\u{fffd}")
            }
            letter => f.write_fmt(format_args!("{letter}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            escaped("<script>alert('a' & \"b\")</script>\u{202e}\0").to_string(),
            "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;\u{fffd}\u{fffd}"
        );
    }
}
