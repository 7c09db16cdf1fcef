//! Medians, ratios and the Markdown table.

use std::fmt::Write;

use crate::usage::Usage;

/// What of a run is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// CPU seconds over all threads.
    Cpu,
    /// Elapsed seconds.
    Wall,
    /// Largest resident set.
    Peak,
}

impl Quantity {
    fn of(self, usage: &Usage) -> f64 {
        match self {
            Self::Cpu => usage.cpu_seconds(),
            Self::Wall => usage.wall_seconds,
            Self::Peak => usage.peak_rss_bytes as f64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Wall => "elapsed",
            Self::Peak => "peak memory",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Cpu | Self::Wall if value < 1.0 => format!("{:.1} ms", value * 1e3),
            Self::Cpu | Self::Wall => format!("{value:.2} s"),
            Self::Peak => format!("{:.1} MiB", value / f64::from(1 << 20)),
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
    pub ours: Vec<Usage>,
    /// The reference's; empty if it was not asked.
    pub reference: Vec<Usage>,
    /// What is asked.
    pub bound: Bound,
}

impl Row {
    /// Whether the bound is met; `None` if there is no bound or nothing to compare with.
    pub fn met(&self) -> Option<bool> {
        let ours = self.median(&self.ours)?;
        match self.bound {
            Bound::Ratio(bound) => Some(self.median(&self.reference)? / ours >= bound),
            Bound::Below(bound) => Some(ours < bound),
            Bound::None => None,
        }
    }

    fn median(&self, runs: &[Usage]) -> Option<f64> {
        let mut values: Vec<f64> = runs.iter().map(|usage| self.quantity.of(usage)).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values.get(middle).copied()
        } else {
            Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0)
        }
    }

    fn cells(&self) -> [String; 7] {
        let (ours, reference) = (self.median(&self.ours), self.median(&self.reference));
        let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| self.quantity.show(value));
        let ratio = match (ours, reference) {
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
        [measure, show(ours), show(reference), ratio, bound, met.to_owned(), runs]
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
        let (ours, reference) = (runs(&[9.5, 0.5, 1.5]), runs(&[3.5, 4.5]));
        Row { measure: "step".to_owned(), quantity, ours, reference, bound }
    }

    #[test]
    fn ratio_is_of_medians() {
        let row = row(Quantity::Cpu, Bound::Ratio(2.0));
        assert_eq!(row.met(), Some(true));
        assert_eq!(row.cells(), ["step, CPU", "2.00 s", "4.50 s", "2.25", "2", "yes", "3 + 2"]);
    }

    #[test]
    fn absent_reference_leaves_the_ratio_open() {
        let open = Row { reference: Vec::new(), ..row(Quantity::Peak, Bound::Ratio(3.0)) };
        assert_eq!(open.met(), None);
        assert_eq!(open.cells()[1..5], ["3.0 MiB", "–", "–", "3"]);
        assert_eq!(Row { bound: Bound::Below(2.0), ..row(Quantity::Cpu, Bound::None) }.met(), Some(false));
    }

    #[test]
    fn table_has_a_line_per_row() {
        let table = markdown(&[row(Quantity::Wall, Bound::None), row(Quantity::Cpu, Bound::Below(240.0))]);
        assert_eq!(table.lines().count(), 4);
        assert!(table.contains("| below 240.00 s | yes |"), "{table}");
    }
}
