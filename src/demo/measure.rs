//! What the demo prints about itself is measured here, not claimed.

use std::time::Duration;

/// The middle and the end of a series of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Half of them were quicker.
    pub median: Duration,
    /// The slowest.
    pub worst: Duration,
}

impl Spread {
    /// Of a series that is not empty; an empty one has taken no time.
    pub fn of(mut series: Vec<Duration>) -> Self {
        series.sort_unstable();
        Self {
            median: series.get(series.len() / 2).copied().unwrap_or_default(),
            worst: series.last().copied().unwrap_or_default(),
        }
    }
}

/// Resident memory of this process in MiB, where the kernel says so.
pub fn resident_mib() -> Option<f64> {
    parse_resident_mib(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_resident_mib(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_a_series() {
        let series = [5, 1, 9, 3, 2].map(Duration::from_millis).to_vec();
        let (median, worst) = (Duration::from_millis(3), Duration::from_millis(9));
        assert_eq!(Spread::of(series), Spread { median, worst });
        assert_eq!(Spread::of(Vec::new()).worst, Duration::ZERO);
    }

    #[test]
    fn resident_memory_is_what_the_kernel_says() {
        assert_eq!(
            parse_resident_mib("VmPeak:\t  9 kB\nVmRSS:\t   10240 kB\n"),
            Some(10.0)
        );
        assert_eq!(parse_resident_mib("VmRSS: much"), None);
        assert!(resident_mib().is_some_and(|mib| mib > 1.0));
    }
}
