//! Getting raw bytes back out of a sector: which, and where they go.

use std::io::{self, Write};
use std::path::Path;

use filecash_engine::field::fr32::RawRange;
use serde_json::{Value, json};

use crate::args::Extract;
use crate::context::Context;
use crate::files::Output;
use crate::measure::Meter;
use crate::phase;
use crate::report::{Failure, Kind, Report};
use crate::text::{Table, grouped};

impl Extract {
    /// The bytes, of a sector that has `capacity` of them; where no flag says how many, up to `end`.
    ///
    /// # Errors
    /// When they reach beyond the sector, or standard output is wanted for the report too.
    pub fn range(&self, end: u64, capacity: u64, context: &Context) -> anyhow::Result<RawRange> {
        let offset = self.offset.0;
        let len = self.length.map_or(end.saturating_sub(offset), |length| length.0);
        if offset.checked_add(len).is_none_or(|end| end > capacity) {
            let message = format!("{len} bytes from {offset} reach beyond the sector's {capacity} raw bytes");
            return Err(Failure::new(Kind::Usage, message).into());
        }
        if self.to_stdout() && context.json {
            return Err(Failure::new(Kind::Usage, "--out - and --json both want standard output").into());
        }
        Ok(RawRange { offset, len })
    }

    /// Whether the data goes to standard output.
    pub fn to_stdout(&self) -> bool {
        self.out == Path::new("-")
    }

    /// Has `work` write the bytes, and reports the phase `name` over so many bytes of the sector.
    pub fn run(
        &self,
        (name, streamed): (&str, u64),
        range: RawRange,
        force: bool,
        work: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<Report> {
        let meter = Meter::start();
        if self.to_stdout() {
            work(&mut io::stdout().lock())?;
            return Ok(Report::done(String::new(), Value::Null));
        }
        let mut output = Output::create(&self.out, force)?;
        work(&mut output)?;
        output.commit()?;
        let cost = meter.stop();
        let mut fields = Table::fields();
        fields.row(["Data", &format!("{} bytes in {}", grouped(range.len), self.out.display())]);
        let json = json!({ "offset": range.offset, "bytes": range.len, "output": self.out });
        Ok(phase::report(name, streamed, cost, &fields, json, None))
    }
}
