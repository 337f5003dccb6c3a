//! Medians, percentiles and the samples of one figure.

/// One sample: a rate or another main value, and latencies where they were taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The figure itself.
    pub(crate) value: f64,
    /// Latency in microseconds that half of all requests stayed within.
    pub(crate) p50: Option<f64>,
    /// The same for 99 of 100.
    pub(crate) p99: Option<f64>,
}

impl From<f64> for Sample {
    /// A sample without latencies.
    fn from(value: f64) -> Self {
        Self { value, ..Self::default() }
    }
}

impl Sample {
    /// A rate with the percentiles of these latencies in microseconds.
    pub(crate) fn rate(value: f64, latencies: &mut [u32]) -> Self {
        latencies.sort_unstable();
        Self { value, p50: percentile(latencies, 50), p99: percentile(latencies, 99) }
    }

    /// Its median latency in milliseconds instead of its value.
    pub(crate) fn in_millis(self) -> Self {
        Self { value: self.p50.unwrap_or(f64::NAN) / 1e3, ..self }
    }

    /// The median of these latencies in microseconds, in milliseconds, with their percentiles.
    pub(crate) fn p50_millis(latencies: &mut [u32]) -> Self {
        Self::rate(0.0, latencies).in_millis()
    }
}

/// All samples of one figure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<Sample>);

impl Series {
    /// Adds a sample.
    pub(crate) fn push(&mut self, sample: impl Into<Sample>) {
        self.0.push(sample.into());
    }

    /// The median value, if anything was measured.
    pub(crate) fn median(&self) -> Option<f64> {
        median(self.0.iter().map(|sample| sample.value))
    }

    /// The smallest and the largest value.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let values = || self.0.iter().map(|sample| sample.value);
        Some((values().reduce(f64::min)?, values().reduce(f64::max)?))
    }

    /// The medians of both latencies.
    pub(crate) fn latencies(&self) -> Option<(f64, f64)> {
        let p50 = median(self.0.iter().filter_map(|sample| sample.p50))?;
        Some((p50, median(self.0.iter().filter_map(|sample| sample.p99))?))
    }
}

/// The middle of these values, or the mean of the two in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted[middle - 1] + upper) / 2.0) }
}

/// The smallest value that `percent` of all stay within.
fn percentile(sorted: &[u32], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series(values.iter().copied().map(Sample::from).collect())
    }

    #[test]
    fn a_median_is_the_middle_or_between_the_two() {
        assert_eq!(series(&[3.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(series(&[4.0, 1.0, 2.0, 3.0]).median(), Some(2.5));
        assert_eq!(series(&[]).median(), None);
    }

    #[test]
    fn a_range_is_the_extremes() {
        assert_eq!(series(&[3.0, 1.0, 2.0]).range(), Some((1.0, 3.0)));
        assert_eq!(series(&[]).range(), None);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut latencies: Vec<u32> = (1..=100).rev().collect();
        let sample = Sample::rate(1.0, &mut latencies);
        assert_eq!((sample.p50, sample.p99), (Some(50.0), Some(99.0)));
        let lone = Sample::rate(1.0, &mut [7]);
        assert_eq!((lone.p50, lone.p99), (Some(7.0), Some(7.0)));
        assert_eq!(Sample::rate(1.0, &mut []).p50, None);
        let sample = Sample::p50_millis(&mut [2_500, 9_000, 1_000]);
        assert_eq!((sample.value, sample.p99), (2.5, Some(9_000.0)));
    }
}
