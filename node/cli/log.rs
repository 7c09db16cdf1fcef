//! The engine's log on standard error: warnings unless asked for more, each a line above the progress bar.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::time;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::progress::{Style, Teller};
use crate::report::{Failure, Kind};

/// Starts the log. `directives` are as in `warn`, `debug` or `filecash_engine::store=debug,info`.
///
/// # Errors
/// When the directives make no sense.
pub fn start(directives: Option<&str>, style: Style, teller: &Teller) -> anyhow::Result<()> {
    let targets = match directives {
        None if style == Style::Quiet => Targets::new().with_default(LevelFilter::ERROR),
        None => Targets::new().with_default(LevelFilter::WARN),
        Some(text) => text.parse::<Targets>().map_err(|error| {
            Failure::new(Kind::Usage, format!("cannot read the log level {text:?}: {error}"))
                .hint("a level such as warn, info or debug, or module=level pairs with commas between")
        })?,
    };
    let writer = teller.log();
    let layer = fmt::layer()
        .with_writer(move || io::LineWriter::new(writer.clone()))
        .with_ansi(style == Style::Bars)
        .with_target(false)
        .with_timer(time::uptime());
    let shown = tracing_subscriber::registry().with(layer.with_filter(targets));
    // Only a second start can fail, and there is none.
    let _ = shown.try_init();
    Ok(())
}
