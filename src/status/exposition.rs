//! Figures in the text format that Prometheus reads, version 0.0.4. Names are those of its conventions: base units, and
//! `_total` for what only grows.

use std::fmt::Write;

/// One name, what it means, and its values.
pub(super) struct Metric {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// A label, if there is one, and the value.
    samples: Vec<(Option<(&'static str, String)>, f64)>,
}

pub(super) fn gauge(name: &'static str, help: &'static str, value: f64) -> Metric {
    Metric {
        name,
        kind: "gauge",
        help,
        samples: vec![(None, value)],
    }
}

pub(super) fn counter(name: &'static str, help: &'static str, value: f64) -> Metric {
    Metric {
        kind: "counter",
        ..gauge(name, help, value)
    }
}

pub(super) fn labelled(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = (String, i64)>,
) -> Metric {
    let samples = values
        .into_iter()
        .map(|(of, value)| (Some((label, of)), count(value)))
        .collect();
    Metric {
        name,
        kind,
        help,
        samples,
    }
}

pub(super) fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// Prometheus has no other numbers; a count that needs more than 53 bits is none that anybody looks at.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn count(of: i64) -> f64 {
    of as f64
}

impl Metric {
    /// Writing to a string cannot fail.
    pub(super) fn write(&self, text: &mut String) {
        let Self {
            name,
            kind,
            help,
            samples,
        } = self;
        let _ = writeln!(
            text,
            "# HELP session_reaper_{name} {help}\n# TYPE session_reaper_{name} {kind}"
        );
        for (label, value) in samples {
            let label = label
                .as_ref()
                .map_or_else(String::new, |(label, of)| format!("{{{label}={of:?}}}"));
            let _ = writeln!(text, "session_reaper_{name}{label} {value}");
        }
    }
}
