//! How often something took how long, sorted into buckets as Prometheus has them.

/// How often something took how long.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    /// How often it took longer than the bound before, and at most this, in seconds.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum_s: f64,
}

impl Spread {
    /// Over these bounds, in ascending order; nothing has been counted yet.
    pub(super) fn over(bounds_s: &[f64]) -> Self {
        let bounds = bounds_s.iter().chain([&f64::INFINITY]);
        Self {
            buckets: bounds.map(|bound| (*bound, 0)).collect(),
            ..Self::default()
        }
    }

    /// Counts this many that took at most this long; counts nothing where the time is not known.
    pub(super) fn add(&mut self, at_most_s: Option<f64>, count: i64, sum_s: f64) {
        let Some(at_most_s) = at_most_s else {
            return;
        };
        let count = count.unsigned_abs();
        let bucket = self
            .buckets
            .iter_mut()
            .find(|(bound, _)| *bound >= at_most_s);
        if let Some((_, counted)) = bucket {
            *counted += count;
            self.count += count;
            self.sum_s += sum_s;
        }
    }
}
