//! Numbers in sentences.

use indicatif::HumanCount;

/// A number of things, in words: "1 session", "3,000 sessions".
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

/// The same for a count as the database gives it: signed, but never negative.
pub fn count_of(number: i64, thing: &str) -> String {
    count(number.unsigned_abs(), thing)
}

/// Numbers that ascend, as the first and the last: "7", "7..12", nothing for none.
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
    fn numbers_read_as_people_write_them() {
        assert_eq!(count(1, "session"), "1 session");
        assert_eq!(count(20_000, "session"), "20,000 sessions");
        assert_eq!(count_of(0, "session"), "0 sessions");
        assert_eq!(span(&[7]).as_deref(), Some("7"));
        assert_eq!(span(&[7, 9, 12]).as_deref(), Some("7..12"));
        assert_eq!(span(&[]), None);
    }
}
