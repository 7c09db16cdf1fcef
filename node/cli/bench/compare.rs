//! `filecash bench compare`: two results side by side, and whether the second is slower than allowed.

use serde_json::{Value, json};

use super::document::{Document, Phase};
use super::statistics::Spread;
use super::table::{bytes, seconds, title};
use crate::args::bench::{Compare, Metric};
use crate::report::{Failure, Kind, Report};
use crate::text::Align::{Left, Right};
use crate::text::Table;

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }

    fn of(self, phase: &Phase) -> Option<Spread> {
        match self {
            Self::Wall => Some(phase.wall_seconds),
            Self::Cpu => phase.cpu_seconds,
            Self::Memory => phase.peak_memory_bytes,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Wall | Self::Cpu => seconds(value),
            Self::Memory => bytes(value),
        }
    }
}

/// Runs the verb.
pub fn run(args: &Compare) -> anyhow::Result<Report> {
    let (a, b) = (Document::read(&args.a)?, Document::read(&args.b)?);
    Ok(Comparison::of(&a, &b, args.metric, args.max_slower)?.report(&a))
}

/// A phase of both results.
struct Row {
    name: String,
    /// Medians, where known.
    medians: [Option<f64>; 2],
    /// Whether the spreads of both have values in common, so that the difference may be chance.
    overlap: bool,
}

impl Row {
    /// How many times as much the second has, without end where the first has nothing; `None` where it is not known.
    fn ratio(&self) -> Option<f64> {
        let [Some(a), Some(b)] = self.medians else { return None };
        Some(if a == b { 1.0 } else { b / a })
    }
}

struct Comparison {
    metric: Metric,
    bound: f64,
    rows: Vec<Row>,
    /// Phases of one result alone.
    alone: [Vec<String>; 2],
}

impl Comparison {
    /// Compares what can be.
    fn of(a: &Document, b: &Document, metric: Metric, bound: f64) -> Result<Self, Failure> {
        let refuse = |what: &str, [a, b]: [String; 2]| {
            let message = format!("the results are not of the same {what}: {a} and {b}");
            Err(Failure::new(Kind::Input, message))
        };
        if a.benchmark != b.benchmark {
            return refuse("benchmark", [a, b].map(|document| document.benchmark.name().to_owned()));
        }
        let size = |document: &Document| match document.settings.sector_size_bytes {
            Some(size) => filecash_node::size::ByteSize(size).to_string(),
            None => "none".to_owned(),
        };
        if a.settings.sector_size_bytes != b.settings.sector_size_bytes {
            return refuse("sector size", [a, b].map(size));
        }
        if a.settings.profile != b.settings.profile {
            return refuse("profile", [a, b].map(|document| document.settings.profile.clone()));
        }
        let mut rows = vec![];
        for phase in &a.phases {
            let Some(other) = b.phases.iter().find(|other| other.name == phase.name) else { continue };
            if (phase.amount, &phase.unit) != (other.amount, &other.unit) {
                let amounts = [phase, other].map(|phase| format!("{} {}", phase.amount, phase.unit));
                return refuse(&format!("amount of {}", phase.name), amounts);
            }
            let spreads = [phase, other].map(|phase| metric.of(phase));
            let overlap = match spreads {
                [Some(a), Some(b)] => a.min <= b.max && b.min <= a.max,
                _ => false,
            };
            let medians = spreads.map(|spread| spread.map(|spread| spread.median));
            rows.push(Row { name: phase.name.clone(), medians, overlap });
        }
        let only = |these: &Document, others: &Document| {
            let missing = |phase: &&Phase| others.phases.iter().all(|other| other.name != phase.name);
            these.phases.iter().filter(missing).map(|phase| phase.name.clone()).collect()
        };
        if !rows.iter().any(|row| row.ratio().is_some()) {
            let message = format!("the results have nothing in common that {} is known of", metric.name());
            return Err(Failure::new(Kind::Input, message));
        }
        Ok(Self { metric, bound, rows, alone: [only(a, b), only(b, a)] })
    }

    /// Phases of which the second result has more than allowed.
    fn slower(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.ratio().is_some_and(|ratio| ratio > self.bound)).collect()
    }

    fn report(&self, a: &Document) -> Report {
        let columns = [("phase", Left), ("A", Right), ("B", Right), ("B / A", Right), ("", Left)];
        let mut table = Table::new(&columns);
        let mut rows = vec![];
        for row in &self.rows {
            let [a, b] = row.medians.map(|median| median.map_or("?".to_owned(), |median| self.metric.show(median)));
            let ratio = row.ratio().map_or("?".to_owned(), |ratio| format!("{ratio:.3}"));
            let is_slower = row.ratio().is_some_and(|ratio| ratio > self.bound);
            let verdict = match (is_slower, row.overlap) {
                (true, _) => "more than allowed",
                (false, true) => "spreads overlap",
                (false, false) => "",
            };
            table.row([row.name.clone(), a, b, ratio, verdict.to_owned()]);
            rows.push(json!({
                "name": row.name, "a": row.medians[0], "b": row.medians[1], "ratio": row.ratio(),
                "spreads_overlap": row.overlap, "slower": is_slower,
            }));
        }
        let mut text = format!("{}, {}, medians\n{}", title(a), self.metric.name(), table.render());
        for (name, alone) in ["A", "B"].iter().zip(&self.alone) {
            if !alone.is_empty() {
                text += &format!("  only in {name}: {}\n", alone.join(", "));
            }
        }
        let slower = self.slower();
        let names: Vec<_> = slower.iter().map(|row| row.name.as_str()).collect();
        text += &match names.is_empty() {
            true => format!("Nothing has more than {} times as much in B\n", self.bound),
            false => format!("More than {} times as much in B: {}\n", self.bound, names.join(", ")),
        };
        let json: Value = json!({
            "metric": self.metric.name(), "max_slower": self.bound, "slower": names, "phases": rows,
            "only_in_a": self.alone[0], "only_in_b": self.alone[1],
        });
        Report { accepted: slower.is_empty(), text, json }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::sample;
    use super::*;

    fn compare(a: &Document, b: &Document, metric: Metric) -> Result<Report, String> {
        Comparison::of(a, b, metric, 1.1).map(|comparison| comparison.report(a)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_result_is_as_fast_as_itself() {
        let report = compare(&sample(), &sample(), Metric::Wall).unwrap();
        assert!(report.accepted);
        assert_eq!(report.json["phases"][0]["ratio"], 1.0);
        assert_eq!(report.json["phases"][0]["spreads_overlap"], true);
    }

    #[test]
    fn the_bound_is_of_the_metric_that_was_asked_for() {
        let (a, mut b) = (sample(), sample());
        b.phases[1].wall_seconds = Spread { median: 12.0, min: 12.0, max: 12.0, mad: 0.0 };
        let report = compare(&a, &b, Metric::Wall).unwrap();
        assert!(!report.accepted);
        assert_eq!(report.json["slower"], json!(["c2 <i>"]));
        assert_eq!(report.json["phases"][1]["ratio"], 1.2);
        assert!(report.text.contains("more than allowed"));
        assert!(compare(&b, &a, Metric::Wall).unwrap().accepted);
        assert!(compare(&a, &b, Metric::Cpu).unwrap().accepted);
        b.phases[0].peak_memory_bytes =
            a.phases[0].peak_memory_bytes.map(|spread| Spread { median: spread.median * 2.0, ..spread });
        assert_eq!(compare(&a, &b, Metric::Memory).unwrap().json["slower"], json!(["pc1"]));
    }

    #[test]
    fn what_differs_in_kind_is_not_compared() {
        let a = sample();
        let refused = |change: &dyn Fn(&mut Document)| {
            let mut b = sample();
            change(&mut b);
            compare(&a, &b, Metric::Wall).err().unwrap()
        };
        assert!(refused(&|b| b.settings.sector_size_bytes = Some(8 << 20)).contains("2 KiB and 8 MiB"));
        assert!(refused(&|b| b.settings.profile = "filecash".to_owned()).contains("profile"));
        assert!(refused(&|b| b.benchmark = super::super::document::Benchmark::Prove).contains("benchmark"));
        assert!(refused(&|b| b.phases[0].amount = 2).contains("amount of pc1"));
        assert!(refused(&|b| b.phases.clear()).contains("nothing in common"));
    }

    #[test]
    fn phases_of_one_result_are_named() {
        let (a, mut b) = (sample(), sample());
        b.phases.remove(1);
        let report = compare(&a, &b, Metric::Wall).unwrap();
        assert!(report.accepted && report.text.contains("only in A: c2 <i>"), "{}", report.text);
        b.phases[0].cpu_seconds = None;
        assert!(compare(&a, &b, Metric::Cpu).err().unwrap().contains("cpu is known"));
    }
}
