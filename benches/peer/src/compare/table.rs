//! Medians, ratios and the Markdown table.

use std::fmt::Write;

use crate::usage::Usage;

/// What of a run is compared: seconds or bytes, of which less is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// CPU seconds over all threads.
    Cpu,
    /// Elapsed seconds.
    Wall,
    /// Largest resident set.
    Peak,
    /// Largest resident set, as bytes for each of so many constraints.
    PeakOf(u64),
    /// CPU seconds of so many hashes, shown as hashes a second.
    Hashes(u64),
    /// Bytes of a data structure; no [`Usage`] has them.
    Size,
}

impl Quantity {
    fn of(self, usage: &Usage) -> f64 {
        match self {
            Self::Cpu | Self::Hashes(_) => usage.cpu_seconds(),
            Self::Wall => usage.wall_seconds,
            Self::Peak | Self::PeakOf(_) | Self::Size => usage.peak_rss_bytes as f64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Wall => "elapsed",
            Self::Peak => "peak memory",
            Self::PeakOf(_) => "peak memory a constraint",
            Self::Hashes(_) => "hashes a second",
            Self::Size => "size",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Cpu | Self::Wall if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Cpu | Self::Wall => format!("{value:.2} s"),
            Self::Peak | Self::Size => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Self::PeakOf(constraints) => format!("{:.1} bytes", value / constraints as f64),
            Self::Hashes(hashes) => format!("{:.0}", hashes as f64 / value),
        }
    }
}

/// What is asked of us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The reference's figure, divided by ours, is at least this.
    Ratio(f64),
    /// Our figure is below this.
    Below(f64),
    /// Nothing; the row informs.
    None,
}

/// One row: the same quantity of runs of both sides.
#[derive(Clone, Debug)]
pub struct Row {
    /// What ran.
    pub measure: String,
    /// What of it is compared.
    pub quantity: Quantity,
    /// Our runs.
    pub ours: Vec<f64>,
    /// The reference's; empty if it was not asked.
    pub reference: Vec<f64>,
    /// What is asked.
    pub bound: Bound,
}

impl Row {
    /// A quantity of runs of both sides.
    pub fn new(measure: &str, quantity: Quantity, ours: &[Usage], reference: &[Usage], bound: Bound) -> Self {
        let [ours, reference] = [ours, reference].map(|runs| runs.iter().map(|usage| quantity.of(usage)).collect());
        Self { measure: measure.to_owned(), quantity, ours, reference, bound }
    }

    /// Whether the bound is met; `None` if there is no bound or nothing to compare with.
    pub fn met(&self) -> Option<bool> {
        let ours = median(&self.ours)?;
        match self.bound {
            Bound::Ratio(bound) => Some(median(&self.reference)? / ours >= bound),
            Bound::Below(bound) => Some(ours < bound),
            Bound::None => None,
        }
    }

    /// The median of one side's runs, and in brackets the least and the most where they are not shown alike.
    fn show(&self, runs: &[f64]) -> String {
        let Some(median) = median(runs) else { return "–".to_owned() };
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.iter().copied().fold(0.0, f64::max);
        let [median, least, most] = [median, least, most].map(|value| self.quantity.show(value));
        if least == most { median } else { format!("{median} ({least} to {most})") }
    }

    fn cells(&self) -> [String; 7] {
        let ratio = match (median(&self.ours), median(&self.reference)) {
            (Some(ours), Some(reference)) => format!("{:.2}", reference / ours),
            _ => "–".to_owned(),
        };
        let bound = match self.bound {
            Bound::Ratio(bound) => format!("{bound}"),
            Bound::Below(bound) => format!("below {}", self.quantity.show(bound)),
            Bound::None => "–".to_owned(),
        };
        let met = match self.met() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let runs = format!("{} + {}", self.ours.len(), self.reference.len());
        let measure = format!("{}, {}", self.measure, self.quantity.name());
        [measure, self.show(&self.ours), self.show(&self.reference), ratio, bound, met.to_owned(), runs]
    }
}

fn median(runs: &[f64]) -> Option<f64> {
    let mut values = runs.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values.get(middle).copied()
    } else {
        Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0)
    }
}

/// The table of all rows.
pub fn markdown(rows: &[Row]) -> String {
    let mut table = String::from(
        "| Measure | filecash | reference | ratio | at least | met | runs |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(table, "| {} |", row.cells().join(" | "));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(cpu: &[f64]) -> Vec<Usage> {
        let usage = |&user_seconds: &f64| Usage {
            wall_seconds: 1.0,
            user_seconds,
            system_seconds: 0.5,
            peak_rss_bytes: 3 << 20,
        };
        cpu.iter().map(usage).collect()
    }

    fn row(quantity: Quantity, bound: Bound) -> Row {
        Row::new("step", quantity, &runs(&[9.5, 0.5, 1.5]), &runs(&[3.5, 4.5]), bound)
    }

    #[test]
    fn ratio_is_of_medians() {
        let row = row(Quantity::Cpu, Bound::Ratio(2.0));
        assert_eq!(row.met(), Some(true));
        let shown =
            ["step, CPU", "2.00 s (1.00 s to 10.00 s)", "4.50 s (4.00 s to 5.00 s)", "2.25", "2", "yes", "3 + 2"];
        assert_eq!(row.cells(), shown);
    }

    #[test]
    fn absent_reference_leaves_the_ratio_open() {
        let open = Row { reference: Vec::new(), ..row(Quantity::Peak, Bound::Ratio(3.0)) };
        assert_eq!(open.met(), None);
        assert_eq!(open.cells()[1..5], ["3.0 MiB", "–", "–", "3"]);
        assert_eq!(Row { bound: Bound::Below(2.0), ..row(Quantity::Cpu, Bound::None) }.met(), Some(false));
    }

    #[test]
    fn hashes_are_a_rate_and_peaks_are_shared_out() {
        let once = |quantity| Row::new("step", quantity, &runs(&[1.5]), &runs(&[15.5]), Bound::Ratio(8.0)).cells();
        assert_eq!(once(Quantity::Hashes(1000))[..4], ["step, hashes a second", "500", "62", "8.00"]);
        assert_eq!(once(Quantity::PeakOf(3 << 18))[1..4], ["4.0 bytes", "4.0 bytes", "1.00"]);
    }

    #[test]
    fn table_has_a_line_per_row() {
        let table = markdown(&[row(Quantity::Wall, Bound::None), row(Quantity::Cpu, Bound::Below(240.0))]);
        assert_eq!(table.lines().count(), 4);
        assert!(table.contains("| below 240.00 s | yes |"), "{table}");
    }
}
