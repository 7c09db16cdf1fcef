//! A result as one page: no scripts, nothing from outside, readable in light and dark.
//!
//! Every text of a result is escaped, since results may come from other machines.

use std::fmt::{self, Display, Write as _};

use filecash_node::size::ByteSize;

use super::document::{Benchmark, Document, Phase};
use super::predict::Throughput;
use super::statistics::Spread;
use super::svg::{COLOURS, bar, stacked, whisker};
use super::table::{NO_RELEASE, PIPELINED, SERIES, TEST_SIZE, bytes, known, pace, seconds, throughput, title};

const STYLE: &str = include_str!("page.css");
/// The least scale of spreads, to either side of the median, so that noise does not look like much.
const LEAST_REACH: f64 = 0.05;

/// The whole page.
pub fn page(document: &Document) -> String {
    let name = Text(&title(document)).to_string();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
    );
    let program = &document.program;
    let _ = writeln!(
        page,
        "<p class=\"faint\">filecash {} · {} · {}</p>",
        Text(&program.version),
        Text(&document.date),
        Text(&document.machine.cpu)
    );
    let is_test = document.settings.is_test_size == Some(true);
    for (applies, note) in [(is_test, TEST_SIZE), (!program.is_release, NO_RELEASE)] {
        if applies {
            let _ = writeln!(page, "<p class=\"note\">Note: {note}.</p>");
        }
    }
    prediction(&mut page, document);
    if matches!(document.benchmark, Benchmark::Sealing | Benchmark::WindowPost | Benchmark::WinningPost) {
        time(&mut page, &document.phases);
    }
    spreads(&mut page, &document.phases);
    memory(&mut page, &document.phases);
    figures(&mut page, &document.phases);
    machine(&mut page, document);
    page + "</body>\n</html>\n"
}

/// Text in which nothing is markup.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // HTML has no place for other control characters, not even escaped.
            c if c.is_control() => f.write_char(' '),
            c => f.write_char(c),
        })
    }
}

fn prediction(page: &mut String, document: &Document) {
    let Some(prediction) = &document.prediction else { return };
    page.push_str("<h2>Prediction for this machine</h2>\n<div class=\"cards\">\n");
    let mut card = |throughput: &Throughput, assumption: &str| {
        let [sectors, tib] = pace(throughput);
        let _ = writeln!(
            page,
            "<div class=\"card\"><span class=\"big\">{}</span>{}<p class=\"faint\">{}</p><p class=\"faint\">{} from one \
             sector to the next</p></div>",
            Text(&sectors),
            Text(&tib),
            Text(assumption),
            seconds(throughput.seconds_per_sector)
        );
    };
    card(&prediction.series, SERIES);
    if let Some(pipelined) = &prediction.pipelined {
        card(pipelined, PIPELINED);
    }
    page.push_str("</div>\n<p class=\"faint\">A prediction, not a measurement: medians of one sector's phases, nothing else taking time.");
    if document.settings.is_test_size == Some(true) {
        page.push_str(" Of test sectors, it is good for comparisons alone.");
    }
    page.push_str("</p>\n");
}

fn time(page: &mut String, phases: &[Phase]) {
    let medians: Vec<f64> = phases.iter().map(|phase| phase.wall_seconds.median).collect();
    let total: f64 = medians.iter().sum();
    let _ = write!(page, "<h2>Time of each phase</h2>\n{}\n<ul class=\"legend\">\n", stacked(&medians));
    for (place, (phase, median)) in phases.iter().zip(&medians).enumerate() {
        let share = if total > 0.0 { median / total * 100.0 } else { 0.0 };
        let _ = writeln!(
            page,
            "<li><span class=\"swatch c{}\"></span>{} {} <span class=\"faint\">{share:.1} %</span></li>",
            place % COLOURS,
            Text(&phase.name),
            seconds(*median)
        );
    }
    let _ = writeln!(page, "</ul>\n<p class=\"faint\">Medians; {} in all.</p>", seconds(total));
}

fn spreads(page: &mut String, phases: &[Phase]) {
    if phases.iter().all(|phase| phase.runs.len() < 2) {
        page.push_str("<h2>Spread</h2>\n<p class=\"faint\">Each phase was measured once: no spread is known. --runs N repeats.</p>\n");
        return;
    }
    let relative = |spread: &Spread| {
        let of = |value: f64| if spread.median > 0.0 { value / spread.median } else { 1.0 };
        [of(spread.min), of(spread.mad) * f64::from(spread.median > 0.0), of(spread.max)]
    };
    let reach = phases
        .iter()
        .map(|phase| relative(&phase.wall_seconds))
        .fold(LEAST_REACH, |reach, [min, _, max]| reach.max(1.0 - min).max(max - 1.0));
    let _ = write!(
        page,
        "<h2>Spread</h2>\n<p class=\"faint\">Time of the runs beside their median: from the least to the most, the box one \
         median absolute deviation to either side.</p>\n<div class=\"wide\"><table class=\"charts\">\n<thead><tr><th>phase</th><th class=\"chart\"><span \
         class=\"scale\"><span>−{0:.0} %</span><span>median</span><span>+{0:.0} %</span></span></th><th class=\"number\">from</th><th \
         class=\"number\">to</th><th class=\"number\">runs</th></tr></thead>\n<tbody>\n",
        reach * 100.0
    );
    for phase in phases {
        let [min, deviation, max] = relative(&phase.wall_seconds);
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td class=\"chart\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td \
             class=\"number\">{}</td></tr>",
            Text(&phase.name),
            whisker(min, deviation, max, reach),
            seconds(phase.wall_seconds.min),
            seconds(phase.wall_seconds.max),
            phase.runs.len()
        );
    }
    page.push_str("</tbody></table></div>\n");
}

fn memory(page: &mut String, phases: &[Phase]) {
    let known: Vec<_> = phases.iter().filter_map(|phase| Some((phase, phase.peak_memory_bytes?.median))).collect();
    let Some(greatest) = known.iter().map(|(_, bytes)| *bytes).reduce(f64::max) else { return };
    page.push_str(
        "<h2>Memory</h2>\n<p class=\"faint\">The most resident memory of the process at once, pages of mapped files and what \
         the process had before included.</p>\n<div class=\"wide\"><table class=\"charts\"><tbody>\n",
    );
    for (phase, peak) in known {
        let _ = writeln!(
            page,
            "<tr><th>{}</th><td class=\"chart\">{}</td><td class=\"number\">{}</td></tr>",
            Text(&phase.name),
            bar(peak, greatest),
            bytes(peak)
        );
    }
    page.push_str("</tbody></table></div>\n");
}

fn figures(page: &mut String, phases: &[Phase]) {
    let has_budgets = phases.iter().any(|phase| phase.vram_budget_bytes.is_some());
    let budget =
        |phase: &Phase| phase.vram_budget_bytes.map_or_else(String::new, |budget| ByteSize(budget).to_string());
    page.push_str("<h2>Figures</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>phase</th>");
    let mut names = vec!["time", "CPU time", "throughput", "memory", "read", "written"];
    names.extend(has_budgets.then_some("device memory at most"));
    for name in names {
        let _ = write!(page, "<th class=\"number\">{name}</th>");
    }
    page.push_str("<th>device</th></tr></thead>\n<tbody>\n");
    for phase in phases {
        let _ = write!(page, "<tr><th>{}</th>", Text(&phase.name));
        let mut cells = vec![
            seconds(phase.wall_seconds.median),
            known(phase.cpu_seconds, seconds),
            throughput(phase),
            known(phase.peak_memory_bytes, bytes),
            known(phase.storage_read_bytes, bytes),
            known(phase.storage_written_bytes, bytes),
        ];
        cells.extend(has_budgets.then(|| budget(phase)));
        for cell in cells {
            let _ = write!(page, "<td class=\"number\">{}</td>", Text(&cell));
        }
        let _ = writeln!(page, "<td>{}</td></tr>", Text(&phase.device));
    }
    page.push_str(
        "</tbody></table></div>\n<p class=\"faint\">Medians. Read and written are bytes of storage, not of the page cache; ? \
         is what the system does not tell.</p>\n",
    );
}

fn machine(page: &mut String, document: &Document) {
    let (machine, settings) = (&document.machine, &document.settings);
    let memory = machine.memory_bytes.map_or_else(|| "?".to_owned(), |bytes| ByteSize(bytes).to_string());
    let mut rows = vec![
        ("Processor", machine.cpu.clone()),
        ("Instruction sets", machine.cpu_features.join(" ")),
        ("Logical processors", machine.logical_cpus.to_string()),
        ("Memory", memory),
        ("System", format!("{}, {}", machine.os, machine.arch)),
        ("Threads", settings.threads.to_string()),
        ("Memory budget", ByteSize(settings.memory_bytes).to_string()),
        ("Devices asked for", settings.device.clone()),
    ];
    for device in &machine.devices {
        rows.push(("Device", format!("{} ({}, {}, {})", device.name, device.kind, device.api, device.driver)));
    }
    if settings.parallel > 1 {
        rows.push(("Labelled at once", settings.parallel.to_string()));
    }
    page.push_str("<h2>Machine and settings</h2>\n<dl>\n");
    for (name, value) in rows {
        let _ = writeln!(page, "<dt>{name}</dt><dd>{}</dd>", Text(&value));
    }
    page.push_str("</dl>\n");
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::sample;
    use super::super::predict::Prediction;
    use super::*;

    fn predicted() -> Document {
        let pace = Throughput { seconds_per_sector: 86.4, sectors_per_day: 1000.0, tib_per_day: 31.25 };
        let mut document = sample();
        document.prediction = Some(Prediction { series: pace, pipelined: Some(pace) });
        document
    }

    #[test]
    fn no_text_of_a_result_is_markup() {
        let page = page(&predicted());
        assert!(page.contains("A &lt;processor&gt; &amp; &quot;more&quot;"), "{page}");
        assert!(page.contains("c2 &lt;i&gt;") && !page.contains("<i>") && !page.contains("<processor>"));
        assert_eq!(Text("a'\0\u{1b}b").to_string(), "a&#39;  b");
    }

    #[test]
    fn page_needs_nothing_else() {
        let page = page(&predicted());
        for word in ["<script", "http:", "https:", "//", "src=", "href=", "url(", "@import", "javascript"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn every_element_is_closed() {
        let page = page(&predicted());
        let mut open = vec![];
        for tag in page.split('<').skip(1) {
            let name: String = tag.chars().take_while(|c| c.is_alphanumeric() || *c == '/').collect();
            let is_closed = tag.split('>').next().is_some_and(|inside| inside.ends_with('/'));
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{page}"),
                None if tag.starts_with('!') || name == "meta" || is_closed => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn predictions_and_test_sizes_are_called_so() {
        let page = page(&predicted());
        assert!(
            page.contains("A prediction, not a measurement")
                && page.contains("1,000 sectors a day</span>31.2 TiB a day")
        );
        assert!(page.contains(TEST_SIZE));
        assert!(!super::page(&sample()).contains("rediction"));
    }
}
