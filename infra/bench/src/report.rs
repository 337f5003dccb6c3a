//! The table: ours beside the limit, and the aim beside both.

use std::fmt::Write;

use crate::stats::{Sample, Series};
use anyhow::Result;

/// A figure of ours beside what this machine can do at best.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// Of what the values are.
    pub(crate) unit: &'static str,
    /// Our samples.
    pub(crate) ours: Series,
    /// The limit's samples.
    pub(crate) limit: Series,
    /// What we want of it.
    pub(crate) aim: Aim,
}

impl Row {
    /// A row without samples yet.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, aim: Aim) -> Self {
        let (ours, limit) = (Series::default(), Series::default());
        Self { name: name.into(), unit, ours, limit, aim }
    }

    /// A row of our samples alone.
    pub(crate) fn of<S: Into<Sample>>(
        name: impl Into<String>,
        unit: &'static str,
        aim: Aim,
        samples: impl IntoIterator<Item = S>,
    ) -> Self {
        let mut row = Self::new(name, unit, aim);
        samples.into_iter().for_each(|sample| row.ours.push(sample));
        row
    }

    /// Takes samples of the limit and of ours in turn, so that what the machine does meanwhile
    /// meets both alike.
    pub(crate) async fn sampled<T: ?Sized, S: Into<Sample>>(
        mut self,
        samples: usize,
        (limit, ours): (&T, &T),
        sample: impl AsyncFn(&T) -> Result<S>,
    ) -> Result<Self> {
        for _ in 0..samples {
            self.limit.push(sample(limit).await?);
            self.ours.push(sample(ours).await?);
        }
        Ok(self)
    }

    fn ratio(&self) -> Option<f64> {
        Some(self.ours.median()? / self.limit.median()?)
    }

    /// Whether the aim is met; nothing where there is no aim or nothing was measured.
    pub(crate) fn met(&self) -> Option<bool> {
        match self.aim {
            Aim::None => None,
            Aim::ShareOfLimit(least) => Some(self.ratio()? >= least),
            Aim::TimesOther(most) => Some(self.ratio()? <= most),
            Aim::Beside(more) => Some(self.ours.median()? <= self.limit.median()? + more),
            Aim::AtLeast(least) => Some(self.ours.median()? >= least),
            Aim::Below(most) => Some(self.ours.median()? < most),
            Aim::AtMost(most) => Some(self.ours.median()? <= most),
        }
    }
}

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// It is only shown.
    None,
    /// This share of the limit, or more.
    ShareOfLimit(f64),
    /// This many times what stands in the other column, or less.
    TimesOther(f64),
    /// What stands in the other column and this much more, or less.
    Beside(f64),
    /// This value or more.
    AtLeast(f64),
    /// Less than this value.
    Below(f64),
    /// This value or less.
    AtMost(f64),
}

impl Aim {
    fn text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::ShareOfLimit(least) => format!(">= {:.0} %", least * 100.0),
            Self::TimesOther(most) => format!("<= {:.0} %", most * 100.0),
            Self::Beside(more) => format!("<= + {}", number(more)),
            Self::AtLeast(least) => format!(">= {}", number(least)),
            Self::Below(most) => format!("< {}", number(most)),
            Self::AtMost(most) => format!("<= {}", number(most)),
        }
    }
}

const HEADER: [&str; 8] = ["", "unit", "ours", "limit", "ratio", "aim", "", "p50/p99 us (limit)"];
/// Where nothing has a limit.
const ALONE: [&str; 6] = ["", "unit", "", "aim", "", "p50/p99 us"];

/// All rows, aligned.
pub(crate) fn table(rows: &[Row]) -> String {
    aligned(std::iter::once(HEADER.map(str::to_owned)).chain(rows.iter().map(cells)))
}

/// All rows, aligned, without a limit.
pub(crate) fn table_alone(rows: &[Row]) -> String {
    let alone = |row: &Row| {
        let [name, unit, ours, _, _, aim, verdict, _] = cells(row);
        [name, unit, ours, aim, verdict, latency(&row.ours).unwrap_or_default()]
    };
    aligned(std::iter::once(ALONE.map(str::to_owned)).chain(rows.iter().map(alone)))
}

fn aligned<const N: usize>(cells: impl Iterator<Item = [String; N]>) -> String {
    let cells: Vec<[String; N]> = cells.collect();
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn cells(row: &Row) -> [String; 8] {
    let verdict = match row.met() {
        None => "",
        Some(true) => "met",
        Some(false) => "MISSED",
    };
    [
        row.name.clone(),
        row.unit.to_owned(),
        values(&row.ours),
        values(&row.limit),
        row.ratio().map(|ratio| format!("{:.0} %", ratio * 100.0)).unwrap_or_default(),
        row.aim.text(),
        verdict.to_owned(),
        latencies(row),
    ]
}

/// The median, and the range where there is more than one sample.
fn values(series: &Series) -> String {
    let (Some(median), Some((least, most))) = (series.median(), series.range()) else {
        return "-".to_owned();
    };
    if least < most {
        format!("{} ({}-{})", number(median), number(least), number(most))
    } else {
        number(median)
    }
}

fn latencies(row: &Row) -> String {
    let text = |latency: Option<String>| latency.unwrap_or_else(|| "-".to_owned());
    match (latency(&row.ours), latency(&row.limit)) {
        (None, None) => String::new(),
        (ours, limit) => format!("{} ({})", text(ours), text(limit)),
    }
}

fn latency(series: &Series) -> Option<String> {
    series.latencies().map(|(p50, p99)| format!("{p50:.0}/{p99:.0}"))
}

/// Three significant digits at least, thousands apart.
fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.2}");
    }
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(aim: Aim, ours: &[f64], limit: &[f64]) -> Row {
        let mut row = Row::of("sends", "req/s", aim, ours.iter().copied());
        limit.iter().for_each(|value| row.limit.push(*value));
        row
    }

    #[test]
    fn numbers_are_short_and_grouped() {
        let shown = [0.5, 9.994, 12.34, 999.6, 1_234_567.0].map(number);
        assert_eq!(shown, ["0.50", "9.99", "12.3", "1,000", "1,234,567"]);
    }

    #[test]
    fn an_aim_is_judged_by_medians() {
        assert_eq!(row(Aim::ShareOfLimit(0.6), &[6.0, 1.0, 9.0], &[10.0]).met(), Some(true));
        assert_eq!(row(Aim::ShareOfLimit(0.6), &[5.0], &[10.0]).met(), Some(false));
        assert_eq!(row(Aim::TimesOther(1.2), &[1.3], &[1.0]).met(), Some(false));
        assert_eq!(row(Aim::Beside(1.5), &[2.4], &[1.0]).met(), Some(true));
        assert_eq!(row(Aim::Beside(1.5), &[2.6], &[1.0]).met(), Some(false));
        assert_eq!(row(Aim::AtLeast(5.0), &[5.0], &[]).met(), Some(true));
        assert_eq!(row(Aim::Below(5.0), &[5.0], &[]).met(), Some(false));
        assert_eq!(row(Aim::AtMost(5.0), &[5.0], &[]).met(), Some(true));
        assert_eq!(row(Aim::None, &[5.0], &[5.0]).met(), None);
        assert_eq!(row(Aim::ShareOfLimit(0.6), &[], &[5.0]).met(), None);
    }

    #[test]
    fn columns_line_up_and_what_was_not_measured_is_a_dash() {
        let long = row(Aim::ShareOfLimit(0.6), &[8_000.0, 9_000.0], &[10_000.0]);
        let text = table(&[long, row(Aim::None, &[], &[1.0])]);
        let lines: Vec<&str> = text.lines().collect();
        let column = |line: &str, word: &str| line.find(word).expect("the word");
        assert_eq!(column(lines[0], "ours"), column(lines[1], "8,500"));
        assert_eq!(column(lines[0], "ours"), column(lines[2], "-"));
        assert!(lines[1].contains("8,500 (8,000-9,000)"), "{text}");
        assert!(lines[1].ends_with("85 %   >= 60 %  met"), "{text}");
    }

    #[test]
    fn a_table_without_limits_has_no_columns_for_them() {
        let mut figure = row(Aim::AtMost(5.0), &[5.0], &[]);
        figure.ours.push(Sample::rate(5.0, &mut [7]));
        let text = table_alone(&[figure]);
        assert!(
            text.lines().nth(1).is_some_and(|line| line.ends_with("<= 5.00  met  7/7")),
            "{text}"
        );
    }
}
