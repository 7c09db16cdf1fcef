//! What Prometheus reads at `/metrics`, version 0.0.4 of its format.
//!
//! | Name | What |
//! |---|---|
//! | `filecash_node_peers`, `_connections` | whom we are connected to, and by how many connections |
//! | `filecash_node_gossip_total{topic, verdict}` | announcements by what became of them |
//! | `filecash_node_rpc_requests_total{method, code}` | calls that were answered, code 0 for a result |
//! | `filecash_node_head_height`, `_head_timestamp_seconds` | the head of the chain |
//! | `filecash_node_resident_bytes` | memory of the process, on Linux |
//! | `filecash_node_info{version, network, peer}` | 1 |

use std::fmt::{Display, Write as _};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use filecash_net::gossip::TopicKind;

use crate::judge::VERDICTS;
use crate::services::Parts;

/// What answers at `/metrics`.
pub fn router(parts: &Parts) -> Router {
    Router::new().route("/metrics", get(answer)).with_state(parts.clone())
}

async fn answer(State(parts): State<Parts>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&parts).await).into_response()
}

/// Metrics with their values.
#[derive(Default)]
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP filecash_node_{name} {help}\n# TYPE filecash_node_{name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let quoted =
            |text: &dyn Display| text.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(*value))).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "filecash_node_{name}{braces} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.value(name, &[], value);
    }
}

async fn text(parts: &Parts) -> String {
    let mut text = Text::default();
    let peers = parts.host.peers().await.unwrap_or_default();
    text.gauge("peers", "Peers that are connected.", peers.len());
    let connections: usize = peers.iter().map(|peer| peer.addresses.len()).sum();
    text.gauge("connections", "Connections to them.", connections);
    text.metric("gossip_total", "counter", "Announcements by what became of them.");
    for (kind, topic) in [(TopicKind::Blocks, "blocks"), (TopicKind::Messages, "messages")] {
        for (verdict, count) in VERDICTS.iter().zip(parts.tally.all(kind)) {
            text.value("gossip_total", &[("topic", &topic), ("verdict", verdict)], count);
        }
    }
    text.metric("rpc_requests_total", "counter", "Calls that were answered; code 0 is a result.");
    for (method, code, count) in parts.rpc.counts().all() {
        text.value("rpc_requests_total", &[("method", &method), ("code", &code)], count);
    }
    let head = parts.ledger.head();
    text.gauge("head_height", "Height of the head of the chain.", head.height());
    text.gauge("head_timestamp_seconds", "Time of the head of the chain.", head.first().timestamp);
    if let Some(bytes) = resident_bytes() {
        text.gauge("resident_bytes", "Memory of the process.", bytes);
    }
    text.metric("info", "gauge", "What this node is.");
    let (network, peer) = (&parts.ledger.network().name, parts.host.peer_id());
    text.value("info", &[("version", &env!("CARGO_PKG_VERSION")), ("network", network), ("peer", &peer)], 1);
    text.0
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted() {
        let mut text = Text::default();
        text.value("x", &[("a", &"b\"c\\\n"), ("d", &1)], 2);
        assert_eq!(text.0, "filecash_node_x{a=\"b\\\"c\\\\\\n\",d=\"1\"} 2\n");
        #[cfg(target_os = "linux")]
        assert!(resident_bytes().unwrap() > 100_000);
    }
}
