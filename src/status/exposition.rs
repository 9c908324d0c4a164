//! Figures as Prometheus reads them, in its text format, version 0.0.4. Names follow its conventions: base units, and
//! `_total` for what only grows.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::spread::Spread;
pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

/// What all names begin with.
const PREFIX: &str = "session_reaper";

/// A registry for our figures.
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// What a registry holds, as text.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = prometheus_text::encode(&mut text, registry);
    text
}

/// Figures that have been read and stay as they are.
#[derive(Debug)]
pub(super) struct Figures(pub(super) Vec<Metric>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|metric| metric.encode(&mut encoder))
    }
}

/// One name, what it means, and its values.
#[derive(Debug)]
pub(super) struct Metric {
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    /// A label, if there is one, and the value.
    samples: Vec<(Option<(&'static str, String)>, Value)>,
}

/// What a metric holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Count(i64),
    Real(f64),
    Spread(Spread),
}

impl From<i64> for Value {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(is.into())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(real: f64) -> Self {
        Self::Real(real)
    }
}

pub(super) fn gauge(name: &'static str, help: &'static str, value: impl Into<Value>) -> Metric {
    single(name, MetricType::Gauge, help, value)
}

/// Its name is written with `_total` behind it.
pub(super) fn counter(name: &'static str, help: &'static str, value: impl Into<Value>) -> Metric {
    single(name, MetricType::Counter, help, value)
}

pub(super) fn histogram(name: &'static str, help: &'static str, spread: Spread) -> Metric {
    single(name, MetricType::Histogram, help, Value::Spread(spread))
}

fn single(
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    value: impl Into<Value>,
) -> Metric {
    Metric {
        name,
        kind,
        help,
        samples: vec![(None, value.into())],
    }
}

pub(super) fn labelled<V: Into<Value>>(
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = (String, V)>,
) -> Metric {
    let samples = values
        .into_iter()
        .map(|(of, value)| (Some((label, of)), value.into()))
        .collect();
    Metric {
        name,
        kind,
        help,
        samples,
    }
}

/// Prometheus has no other numbers; no reader looks at a count that needs more than 53 bits.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(super) fn count(of: i64) -> f64 {
    of as f64
}

impl Metric {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut encoder = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        for (label, value) in &self.samples {
            match label {
                None => self.encode_value(value, &mut encoder)?,
                Some((label, of)) => {
                    let labels = [(*label, of.as_str())];
                    self.encode_value(value, &mut encoder.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn encode_value(&self, value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;
        match (value, self.kind) {
            (Value::Count(count), MetricType::Counter) => {
                encoder.encode_counter(&count.unsigned_abs(), NONE)
            }
            (Value::Real(real), MetricType::Counter) => encoder.encode_counter(real, NONE),
            (Value::Count(count), _) => encoder.encode_gauge(count),
            (Value::Real(real), _) => encoder.encode_gauge(real),
            (Value::Spread(spread), _) => encoder.encode_histogram::<NoLabelSet>(
                spread.sum_s,
                spread.count,
                &spread.buckets,
                None,
            ),
        }
    }
}
