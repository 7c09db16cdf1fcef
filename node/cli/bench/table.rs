//! A result as text for people.

use std::time::Duration;

use filecash_node::size::ByteSize;

use super::document::{Document, Phase};
use super::predict::Throughput;
use super::statistics::Spread;
use crate::text::Align::{Left, Right};
use crate::text::{self, Table, counted};

/// What has to be said of sectors for tests.
pub const TEST_SIZE: &str =
    "a size for tests, with fewer layers and challenges than real sectors: nothing here says how fast those are";
/// What has to be said of a program that was not compiled for speed.
pub const NO_RELEASE: &str = "this program was compiled with checks for development; release builds are faster";
/// What the prediction assumes, for one sector after the other.
pub const SERIES: &str = "one sector after the other: 86400 / (add piece + PC1 + PC2 + C1 + C2)";
/// What the prediction assumes, for sectors side by side.
pub const PIPELINED: &str = "pipelined: 86400 / max(add piece + PC1, PC2 + C1 + C2, CPU time / threads), later sectors being labelled while \
     earlier ones are proven, with memory for both";

/// The whole result.
pub fn text(document: &Document) -> String {
    let settings = &document.settings;
    let mut text = title(document);
    text.push('\n');
    if settings.is_test_size == Some(true) {
        text += &format!("Note: {TEST_SIZE}\n");
    }
    if !document.program.is_release {
        text += &format!("Note: {NO_RELEASE}\n");
    }
    text += &rows(&document.phases).render();
    if let Some(prediction) = &document.prediction {
        text += "\nPrediction for this machine, if nothing but these phases took time:\n";
        text += &format!("  {}\n    {SERIES}\n", pace(&prediction.series).join(", "));
        if let Some(pipelined) = &prediction.pipelined {
            text += &format!("  {}\n    {PIPELINED}\n", pace(pipelined).join(", "));
        }
    }
    text
}

/// What was measured, in a line.
pub fn title(document: &Document) -> String {
    let settings = &document.settings;
    let mut title = format!("Benchmark {}, profile {}", document.benchmark.name(), settings.profile);
    if let Some(size) = settings.sector_size_bytes {
        title += &format!(", {} of {}", text::count(settings.num_sectors, things(document)), ByteSize(size));
    }
    title
}

fn things(document: &Document) -> &'static str {
    match document.benchmark {
        super::document::Benchmark::Verify => "seal",
        _ => "sector",
    }
}

fn rows(phases: &[Phase]) -> Table {
    let columns = [
        ("phase", Left),
        ("median", Right),
        ("min", Right),
        ("max", Right),
        ("runs", Right),
        ("throughput", Right),
        ("CPU time", Right),
        ("memory", Right),
        ("read", Right),
        ("written", Right),
        ("device", Left),
    ];
    let mut table = Table::new(&columns);
    for phase in phases {
        let Spread { median, min, max, .. } = phase.wall_seconds;
        table.row([
            phase.name.clone(),
            seconds(median),
            seconds(min),
            seconds(max),
            phase.runs.len().to_string(),
            throughput(phase),
            known(phase.cpu_seconds, seconds),
            known(phase.peak_memory_bytes, bytes),
            known(phase.storage_read_bytes, bytes),
            known(phase.storage_written_bytes, bytes),
            phase.device.clone(),
        ]);
    }
    table
}

/// A median, or that it is not known.
pub fn known(spread: Option<Spread>, show: fn(f64) -> String) -> String {
    spread.map_or_else(|| "?".to_owned(), |spread| show(spread.median))
}

/// A time.
pub fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "?".to_owned(), text::duration)
}

/// A number of bytes.
pub fn bytes(bytes: f64) -> String {
    ByteSize(bytes as u64).to_string()
}

/// How much a second: bytes of sectors where a phase works through them, else what it counts if there are many.
pub fn throughput(phase: &Phase) -> String {
    match (phase.bytes, phase.per_second()) {
        (Some(bytes), _) => {
            let time = Duration::try_from_secs_f64(phase.wall_seconds.median).unwrap_or_default();
            text::rate(bytes, time)
        }
        (None, Some(rate)) if phase.unit != "sectors" => format!("{} {}/s", counted(rate), phase.unit),
        _ => String::new(),
    }
}

/// A pace in words: sectors, and bytes of them.
pub fn pace(throughput: &Throughput) -> [String; 2] {
    let Throughput { sectors_per_day, tib_per_day, .. } = throughput;
    [format!("{} sectors a day", digits(*sectors_per_day)), format!("{} TiB a day", digits(*tib_per_day))]
}

/// Three digits, or as many as there are before the point.
fn digits(value: f64) -> String {
    match value {
        100.0.. => text::grouped(value.round() as u64),
        10.0.. => format!("{value:.1}"),
        0.01.. => format!("{value:.2}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::sample;
    use super::*;

    #[test]
    fn text_says_what_was_measured_and_what_it_means() {
        let text = text(&sample());
        assert!(text.contains("Benchmark sealing, profile filecoin, 1 sector of 2 KiB"), "{text}");
        assert!(text.contains(TEST_SIZE), "{text}");
        let row = text.lines().find(|line| line.trim_start().starts_with("pc1")).unwrap();
        for cell in [" 2.0 s ", " 1.0 s ", " 4.0 s ", " 3 ", " 1 MiB ", " ? ", " cpu"] {
            assert!(row.contains(cell), "{row}");
        }
    }

    #[test]
    fn paces_keep_their_digits() {
        assert_eq!([1234.5, 45.67, 1.234, 0.0123, 0.000123].map(digits), ["1,235", "45.7", "1.23", "0.01", "1.23e-4"]);
    }
}
