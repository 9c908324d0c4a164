//! Numbers in sentences.

use indicatif::HumanCount;

use crate::settings::Environment;

/// Whether the reader of the output can read more than ASCII, by the locale's variables: the first one that is set
/// decides. None set is the same as C.
pub fn is_utf8(environment: &Environment) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| environment.get(name));
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// A number of things, in words: "1 session", "3,000 sessions".
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

/// The same for a count as the database gives it: signed, but never negative.
pub fn count_of(number: i64, thing: &str) -> String {
    count(number.unsigned_abs(), thing)
}

/// How long something takes or lasts, as exactly as people want to know it: "3 ms", "1.50 s", "12 min", "5 h", "3 d".
pub fn lasting(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995 => format!("{:.0} ms", s.max(0.0) * 1000.0),
        s if s < 60.0 => format!("{s:.2} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s if s < 2.0 * 86_400.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

/// Ascending numbers, as the first and the last: "7", "7..12", nothing for none.
pub fn span(numbers: &[i64]) -> Option<String> {
    match numbers {
        [] => None,
        [only] => Some(only.to_string()),
        [first, .., last] => Some(format!("{first}..{last}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_says_whether_more_than_ascii_can_be_read() {
        let is = |variables| is_utf8(&Environment::from([variables]));
        assert!(is(("LANG", "de_DE.UTF-8")) && is(("LC_ALL", "C.utf8")));
        assert!(!is(("LANG", "C")) && !is(("LANG", "de_DE.ISO-8859-1")) && !is(("LC_ALL", "")));
        let both = Environment::from([("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]);
        assert!(!is_utf8(&both));
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(1, "session"), "1 session");
        assert_eq!(count(20_000, "session"), "20,000 sessions");
        assert_eq!(count_of(0, "session"), "0 sessions");
        let lasted = [0.0, 0.0123, 0.9994, 0.9999, 1.5, 119.0, 7200.0, 259_200.0].map(lasting);
        let words = [
            "0 ms", "12 ms", "999 ms", "1.00 s", "1.50 s", "2 min", "2 h", "3 d",
        ];
        assert_eq!(lasted, words);
        assert_eq!(span(&[7]).as_deref(), Some("7"));
        assert_eq!(span(&[7, 9, 12]).as_deref(), Some("7..12"));
        assert_eq!(span(&[]), None);
    }
}
