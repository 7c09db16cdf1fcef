//! The engine's log on standard error: warnings unless asked for more, each a line above the progress bar.
//!
//! What is shown is said by `--log-level`, else by `RUST_LOG`, as in `info` or `filecash_engine::store=debug,warn`. The variable
//! is often set for other programs: levels of their modules are taken and match nothing, and filters by span, which we do
//! not have, are passed over where they are for modules of others.

use std::ffi::OsString;
use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::time;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::progress::{Style, Teller};
use crate::report::{Failure, Kind};

/// What is shown, where no flag says it.
pub const VARIABLE: &str = "RUST_LOG";

/// The beginning of our crates' names.
const OURS: &str = "filecash";

/// Starts the log.
///
/// # Errors
/// When the flag or the variable makes no sense; it is named.
pub fn start(
    flag: Option<&str>,
    variable: Option<OsString>,
    style: Style,
    is_daemon: bool,
    teller: &Teller,
) -> anyhow::Result<()> {
    let default = if style == Style::Quiet { LevelFilter::ERROR } else { LevelFilter::WARN };
    let variable = variable.map(|text| text.to_string_lossy().into_owned()).filter(|text| !text.trim().is_empty());
    let (source, kind, text) = match (flag, &variable) {
        (Some(text), _) => ("--log-level", Kind::Usage, text),
        (None, Some(text)) => (VARIABLE, Kind::Settings, text.as_str()),
        (None, None) => ("", Kind::Usage, ""),
    };
    let targets = targets(text, default).map_err(|problem| {
        Failure::new(kind, format!("cannot read the log levels {text:?} of {source}: {problem}"))
            .hint("a level such as warn, info or debug, or module=level pairs with commas between")
    })?;
    // A daemon says what it does, and nothing else does.
    let targets = match text.trim().is_empty() && is_daemon && style != Style::Quiet {
        // A DHT that is empty yet is no news.
        true => targets.with_target(OURS, LevelFilter::INFO).with_target("libp2p_kad", LevelFilter::ERROR),
        false => targets,
    };
    let writer = teller.log();
    let layer = fmt::layer()
        .with_writer(move || io::LineWriter::new(writer.clone()))
        .with_ansi(style == Style::Bars)
        .with_target(false);
    // A run is told from its beginning, a daemon by the clock.
    let layer = match is_daemon {
        true => layer.with_timer(time::SystemTime).with_filter(targets).boxed(),
        false => layer.with_timer(time::uptime()).with_filter(targets).boxed(),
    };
    // Only a second start can fail, and there is none.
    let _ = tracing_subscriber::registry().with(layer).try_init();
    Ok(())
}

/// The filter that directives ask for; modules that none is about are shown from `default` on.
fn targets(text: &str, default: LevelFilter) -> Result<Targets, String> {
    let mut targets = Targets::new().with_default(default);
    for directive in directives(text).map(str::trim).filter(|directive| !directive.is_empty()) {
        let (module, level) = match directive.find('[') {
            None => match directive.split_once('=') {
                None => (directive, None),
                Some((module, level)) => (module.trim(), Some(level.trim())),
            },
            Some(span) => {
                let rest = directive.rsplit_once(']').map(|(_, rest)| rest.trim());
                let (module, level) = (&directive[..span], rest.and_then(|rest| rest.strip_prefix('=')));
                if rest.is_none_or(|rest| !rest.is_empty() && level.is_none()) {
                    return Err(format!("{directive:?} has no end of its span"));
                }
                if module.is_empty() || module.starts_with(OURS) {
                    return Err(format!("{directive:?} asks for a span, and the log is not filtered by spans"));
                }
                level.map(parse_level).transpose()?;
                continue;
            }
        };
        let known = |c: char| c.is_alphanumeric() || "_:-.".contains(c);
        targets = match (level, directive.parse::<LevelFilter>()) {
            (None, Ok(level)) => targets.with_default(level),
            _ if module.is_empty() || !module.chars().all(known) => {
                return Err(format!("{directive:?} begins with no module"));
            }
            (None, Err(_)) => targets.with_target(module, LevelFilter::TRACE),
            (Some(level), _) => targets.with_target(module, parse_level(level)?),
        };
    }
    Ok(targets)
}

fn parse_level(text: &str) -> Result<LevelFilter, String> {
    text.parse().ok().filter(|_| !text.is_empty()).ok_or_else(|| format!("{text:?} is no level"))
}

/// Splits at the commas outside brackets.
fn directives(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c| {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter as Level;

    use super::*;

    /// Of the engine's store, of another module of ours, of somebody else's.
    fn levels(text: &str) -> [bool; 3] {
        let targets = targets(text, Level::WARN).unwrap();
        [("filecash_engine::store", Level::DEBUG), ("filecash_engine", Level::WARN), ("hyper", Level::INFO)]
            .map(|(target, level)| targets.would_enable(target, &level.into_level().unwrap()))
    }

    #[test]
    fn modules_and_spans_of_others_change_nothing_for_ours() {
        for text in
            ["", "hyper=info", "hyper", "hyper=info,", "hyper=info,h2::codec[stream{id=7,state=\"open\"}]=trace"]
        {
            let foreign = text.contains("hyper");
            assert_eq!(levels(text), [false, true, foreign], "{text}");
        }
        assert_eq!(levels("debug"), [true, true, true]);
        assert_eq!(levels("off, filecash_engine::store=debug"), [true, false, false]);
    }

    #[test]
    fn filters_that_make_no_sense_are_refused() {
        for (text, problem) in [
            ("filecash_engine=loud", "\"loud\" is no level"),
            ("filecash_engine=", "\"\" is no level"),
            ("=debug", "begins with no module"),
            ("info/regex", "begins with no module"),
            ("a=b=c", "\"b=c\" is no level"),
            ("[span]=debug", "asks for a span"),
            ("filecash_engine[c2]=debug", "asks for a span"),
            ("hyper[span=debug", "no end of its span"),
            ("hyper[span]=loud", "\"loud\" is no level"),
        ] {
            let message = targets(text, Level::WARN).unwrap_err();
            assert!(message.contains(problem), "{text}: {message}");
        }
    }
}
