//! `filecash config show`: every setting, its value, and who said so.

use filecash_node::config::NONE;
use filecash_node::size::ByteSize;
use serde_json::json;

use crate::args;
use crate::context::Context;
use crate::report::Report;
use crate::text::Align::Left;
use crate::text::Table;

/// Runs the verb.
pub fn run(verb: &args::Config, context: &Context) -> Report {
    match verb {
        args::Config::Show => show(context),
    }
}

fn show(context: &Context) -> Report {
    let settings = &context.settings;
    let threads = match settings.threads.value {
        0 => format!("0 (one per core: {})", rayon::current_num_threads()),
        count => count.to_string(),
    };
    let rows = [
        ("profile", settings.profile.value.to_string(), json!(settings.profile.value.name()), &settings.profile.source),
        (
            "memory",
            ByteSize(settings.memory_bytes.value).to_string(),
            json!(settings.memory_bytes.value),
            &settings.memory_bytes.source,
        ),
        ("threads", threads, json!(settings.threads.value), &settings.threads.source),
        (
            "device",
            settings.device.value.to_string(),
            json!(settings.device.value.to_string()),
            &settings.device.source,
        ),
        (
            "max_vram",
            ByteSize(settings.max_vram.value).to_string(),
            json!(settings.max_vram.value),
            &settings.max_vram.source,
        ),
        (
            "rows_to_discard",
            settings.rows_to_discard.value.to_string(),
            json!(settings.rows_to_discard.value),
            &settings.rows_to_discard.source,
        ),
        (
            "parameter_cache",
            settings.parameter_cache.value.display().to_string(),
            json!(settings.parameter_cache.value),
            &settings.parameter_cache.source,
        ),
        (
            "parent_cache",
            settings.parent_cache.value.display().to_string(),
            json!(settings.parent_cache.value),
            &settings.parent_cache.source,
        ),
        (
            "scratch",
            settings.scratch.value.display().to_string(),
            json!(settings.scratch.value),
            &settings.scratch.source,
        ),
        (
            "pipeline_cache",
            settings.pipeline_cache.value.as_ref().map_or(NONE.to_owned(), |folder| folder.display().to_string()),
            json!(settings.pipeline_cache.value),
            &settings.pipeline_cache.source,
        ),
        (
            "store",
            settings.store.value.as_ref().map_or(NONE.to_owned(), ToString::to_string),
            json!(settings.store.value.as_ref().map(ToString::to_string)),
            &settings.store.source,
        ),
        (
            "blocks",
            settings.blocks.value.as_ref().map_or(NONE.to_owned(), |folder| folder.display().to_string()),
            json!(settings.blocks.value),
            &settings.blocks.source,
        ),
        (
            "chain",
            settings.chain.value.as_ref().map_or(NONE.to_owned(), |folder| folder.display().to_string()),
            json!(settings.chain.value),
            &settings.chain.source,
        ),
    ];

    let mut table = Table::new(&[("setting", Left), ("value", Left), ("from", Left)]);
    let mut values = serde_json::Map::new();
    for (name, text, value, source) in rows {
        table.row([name.to_owned(), text, source.to_string()]);
        values.insert(name.to_owned(), json!({ "value": value, "source": source.to_string() }));
    }
    let mut text = table.render();
    let mut file = json!(null);
    if let Some((path, present)) = &context.settings_file {
        let state = if *present { "" } else { " (not there)" };
        text += &format!("\n  Settings file: {}{state}\n", path.value.display());
        file = json!({ "path": path.value, "source": path.source.to_string(), "present": present });
    }
    Report::done(text, json!({ "settings": values, "file": file }))
}
