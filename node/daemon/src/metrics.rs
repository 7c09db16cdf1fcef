//! What Prometheus reads at `/metrics`, version 0.0.4 of its format.
//!
//! | Name | What |
//! |---|---|
//! | `filecash_node_peers`, `_connections` | whom we are connected to, and by how many connections |
//! | `filecash_node_gossip_total{topic, verdict}` | announcements by what became of them |
//! | `filecash_node_rpc_requests_total{method, code}` | calls that were answered, code 0 for a result |
//! | `filecash_node_head_height`, `_head_timestamp_seconds` | the head of the chain |
//! | `filecash_node_sync_height`, `_sync_target_height` | how far the chain of others is fetched, and to where |
//! | `filecash_node_bitswap_blocks_total{of, direction}`, `_bitswap_bytes_total` | blocks of data and of the chain, sent and received |
//! | `filecash_node_bitswap_wants_refused_total{of}` | wants of others for which there was no room |
//! | `filecash_node_graphsync_blocks_total{direction}`, `_graphsync_bytes_total` | blocks sent and received |
//! | `filecash_node_graphsync_unasked_bytes_total` | bytes of blocks that came and nobody waited for |
//! | `filecash_node_graphsync_requests_total{outcome}` | requests of others, answered and refused |
//! | `filecash_node_transfers`, `_transfers_total{outcome}` | channels of data transfer that are not over; what became of all |
//! | `filecash_node_gateway_requests_total{kind, status}`, `_gateway_bytes_total{kind}` | what was asked for by HTTP, and given |
//! | `filecash_node_resident_bytes` | memory of the process, on Linux |
//! | `filecash_node_info{version, network, peer}` | 1 |

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use filecash_net::gossip::TopicKind;

use crate::services::{Counted, Parts};
use crate::tally::VERDICTS;

/// What answers at `/metrics`.
pub fn router(parts: &Parts, counted: Counted) -> Router {
    Router::new().route("/metrics", get(answer)).with_state((parts.clone(), counted))
}

async fn answer(State((parts, counted)): State<(Parts, Counted)>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&parts, &counted).await).into_response()
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

    /// What went out and what came in.
    fn both_ways(&mut self, name: &str, labels: &[(&str, &dyn Display)], sent: u64, received: u64) {
        for (direction, value) in [("sent", sent), ("received", received)] {
            self.value(name, &[labels, &[("direction", &direction)]].concat(), value);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help);
        self.value(name, &[], value);
    }
}

async fn text(parts: &Parts, counted: &Counted) -> String {
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
    let progress = counted.progress.borrow().clone();
    text.gauge("sync_height", "How far the chain of others is fetched.", progress.height);
    text.gauge("sync_target_height", "To where.", progress.target);
    bitswap(&mut text, counted);
    graphsync(&mut text, counted);
    transfers(&mut text, counted);
    gateway(&mut text, counted);
    if let Some(bytes) = resident_bytes() {
        text.gauge("resident_bytes", "Memory of the process.", bytes);
    }
    text.metric("info", "gauge", "What this node is.");
    let (network, peer) = (&parts.ledger.network().name, parts.host.peer_id());
    text.value("info", &[("version", &env!("CARGO_PKG_VERSION")), ("network", network), ("peer", &peer)], 1);
    text.0
}

fn bitswap(text: &mut Text, counted: &Counted) {
    let all: Vec<_> = counted.bitswap.iter().map(|(of, bitswap)| (*of, bitswap.stats())).collect();
    text.metric("bitswap_blocks_total", "counter", "Blocks that went over bitswap.");
    for (of, stats) in &all {
        text.both_ways("bitswap_blocks_total", &[("of", of)], stats.blocks_sent, stats.blocks_received);
    }
    text.metric("bitswap_bytes_total", "counter", "Bytes of blocks that went over bitswap.");
    for (of, stats) in &all {
        text.both_ways("bitswap_bytes_total", &[("of", of)], stats.bytes_sent, stats.bytes_received);
    }
    text.metric("bitswap_wants", "gauge", "Blocks that others want, those among them that are not here.");
    for (of, bitswap) in &counted.bitswap {
        text.value("bitswap_wants", &[("of", of)], bitswap.wants());
    }
    text.metric("bitswap_wants_refused_total", "counter", "Wants of others for which there was no room.");
    for (of, stats) in &all {
        text.value("bitswap_wants_refused_total", &[("of", of)], stats.wants_refused);
    }
}

fn graphsync(text: &mut Text, counted: &Counted) {
    let Some(graphsync) = &counted.graphsync else { return };
    let (totals, read) = (graphsync.totals(), |count: &AtomicU64| count.load(Ordering::Relaxed));
    text.metric("graphsync_blocks_total", "counter", "Blocks that went over graphsync.");
    text.both_ways("graphsync_blocks_total", &[], read(&totals.blocks_sent), read(&totals.blocks_received));
    text.metric("graphsync_bytes_total", "counter", "Bytes of blocks that went over graphsync.");
    text.both_ways("graphsync_bytes_total", &[], read(&totals.bytes_sent), read(&totals.bytes_received));
    text.metric("graphsync_unasked_bytes_total", "counter", "Bytes of blocks that came and nobody waited for.");
    text.value("graphsync_unasked_bytes_total", &[], read(&totals.bytes_unasked));
    text.metric("graphsync_requests_total", "counter", "Requests of others by what became of them.");
    for (outcome, count) in [("answered", &totals.requests_answered), ("refused", &totals.requests_refused)] {
        text.value("graphsync_requests_total", &[("outcome", &outcome)], read(count));
    }
}

fn transfers(text: &mut Text, counted: &Counted) {
    let Some(transfer) = &counted.transfer else { return };
    text.gauge("transfers", "Channels of data transfer that are not over.", transfer.channels().len());
    text.metric("transfers_total", "counter", "Channels by what became of them; those that were cut may go on.");
    let totals = transfer.totals();
    for (outcome, count) in [
        ("accepted", &totals.accepted),
        ("refused", &totals.refused),
        ("cut", &totals.cut),
        ("restarted", &totals.restarted),
        ("completed", &totals.completed),
        ("cancelled", &totals.cancelled),
        ("failed", &totals.failed),
    ] {
        text.value("transfers_total", &[("outcome", &outcome)], count.load(Ordering::Relaxed));
    }
}

fn gateway(text: &mut Text, counted: &Counted) {
    let Some(gateway) = &counted.gateway else { return };
    let metrics = gateway.metrics();
    text.metric("gateway_requests_total", "counter", "Requests of the gateway by what was asked for and the status.");
    for ((kind, status), count) in &metrics.requests {
        text.value("gateway_requests_total", &[("kind", &kind.name()), ("status", status)], count);
    }
    text.metric("gateway_bytes_total", "counter", "Bytes that the gateway gave.");
    for (kind, bytes) in &metrics.bytes {
        text.value("gateway_bytes_total", &[("kind", &kind.name())], bytes);
    }
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
