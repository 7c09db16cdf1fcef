//! `filecash ext …`: steps of a sector for the programs of others, which start us as a child.

mod damocles;
mod lotus;

use crate::args::ext::Ext;
use crate::context::Context;
use crate::report::Report;

/// Runs the verb.
pub fn run(verb: &Ext, context: &Context) -> anyhow::Result<Report> {
    match verb {
        Ext::Pc2 => lotus::pc2(context),
        Ext::Damocles { stage } => damocles::run(*stage, context),
    }
}
