//! Showing the queue beside what else is done (`--http`).

use std::env;
use std::thread::{Scope, ScopedJoinHandle};

use filecash_engine::job::Cancel;
use filecash_node::http::HttpError;
use filecash_node::jobs::Store;
use filecash_node::web::{self, Options};

use crate::args::worker::Http;
use crate::context::Context;

/// The token, where no flag gives it.
const TOKEN: &str = "FILECASH_HTTP_TOKEN";

/// Shows the queue until `stop` is thrown, if that is asked for. What cannot be shown ends the rest.
pub fn begin<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    args: &Http,
    store: &'env Store,
    context: &'env Context,
    stop: &'env Cancel,
) -> Option<ScopedJoinHandle<'scope, Result<(), HttpError>>> {
    let listen = args.http?;
    let token = args.http_token.clone().or_else(|| env::var(TOKEN).ok()).filter(|token| !token.is_empty());
    if !listen.ip().is_loopback() && token.is_none() {
        tracing::warn!(%listen, "anybody who reaches this port sees the queue; --http-token asks visitors for a password");
    }
    Some(scope.spawn(move || {
        let ready = || context.teller.note(&format!("The queue is shown on http://{listen}/"));
        web::serve(store, &Options { listen, token }, stop, ready).inspect_err(|_| stop.cancel())
    }))
}
