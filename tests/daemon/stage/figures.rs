//! What monitors read, and how it moves when something happens.

use std::collections::BTreeMap;

use crate::stage::{Database, program::run};

/// Values by name and labels, as they are printed.
pub type Figures = BTreeMap<String, f64>;

/// What one of them says. An age is only known to be at least what was planted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Said {
    Nothing,
    Exactly(f64),
    AtLeast(f64),
}

/// A metric without the prefix and without quotes, `open_revocations{state=revoked}` for instance, what it says before a cause
/// is planted, and what it says afterwards. Written out like this at each place, because `docs::monitoring` looks in the text
/// of the tests for the metrics that have one. Where there is but one value of that name, its label may be left out.
pub type Move = (&'static str, Said, Said);

/// What `status --metrics` prints.
pub async fn metrics(database: &Database) -> Figures {
    parse(&run(database.url(), &["status", "--metrics"]).await.stdout)
}

/// Each value stands under its help and its type, once.
pub fn parse(printed: &str) -> Figures {
    let mut values = Figures::new();
    let mut declared = Vec::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, ..] => declared = vec![name],
            ["#", "TYPE", name, "gauge" | "counter" | "histogram"] => declared.push(name),
            [sample, value] => {
                let name = sample.split('{').next().unwrap();
                let part = name.strip_prefix(declared[0]).unwrap();
                assert!(
                    ["", "_bucket", "_sum", "_count"].contains(&part),
                    "{printed}"
                );
                assert_eq!(declared[0], declared[1], "{printed}");
                let known = values.insert(sample.to_owned(), value.parse().unwrap());
                assert_eq!(known, None, "{printed}");
            }
            _ => panic!("{line}"),
        }
    }
    values
}

/// A sample as a [`Move`] names it.
pub fn plain(sample: &str) -> String {
    let sample = sample.replace('"', "");
    sample.trim_start_matches("session_reaper_").to_owned()
}

fn value(figures: &Figures, name: &str) -> Option<f64> {
    let of_name = figures.iter().filter(|(sample, _)| {
        let sample = plain(sample);
        sample == name || sample.split('{').next() == Some(name)
    });
    let values: Vec<f64> = of_name.map(|(_, value)| *value).collect();
    assert!(values.len() < 2, "{name} has several values: {figures:#?}");
    values.first().copied()
}

/// How many writes could not be read for this reason.
pub fn unreadable_by(figures: &Figures, reason: &str) -> Option<f64> {
    value(
        figures,
        &format!("unreadable_writes_total{{reason={reason}}}"),
    )
}

fn is(said: Said, value: Option<f64>) -> bool {
    match (said, value) {
        (Said::Nothing, None) => true,
        (Said::Exactly(expected), Some(value)) => expected == value,
        (Said::AtLeast(least), Some(value)) => least <= value,
        _ => false,
    }
}

/// Whether all of it is said by now.
pub fn have_moved(figures: &Figures, moves: &[Move]) -> bool {
    let has_moved = |(name, _, after): &Move| is(*after, value(figures, name));
    moves.iter().all(has_moved)
}

/// Each said the one before and says the other now, which are two different things.
#[track_caller]
pub fn assert_moved(before: &Figures, after: &Figures, moves: &[Move]) {
    for (name, then, now) in moves {
        let (was, is_now) = (value(before, name), value(after, name));
        assert!(is(*then, was), "{name} was {was:?}, not {then:?}");
        assert!(is(*now, is_now), "{name} is {is_now:?}, not {now:?}");
        assert_ne!(was, is_now, "{name} has not moved");
    }
}
