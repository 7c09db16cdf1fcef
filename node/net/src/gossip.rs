//! How blocks and messages spread: gossipsub with the parameters of Filecoin's networks.
//!
//! The id of a message is the blake2b-256 of its bytes alone, for every topic; senders sign. Each message is shown to a [`Judge`]
//! before it goes on, whose verdict is what the sender's score goes by.
//!
//! Source: `spec/network.md` 4.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use blake2b_simd::Params;
use libp2p::gossipsub::{
    Behaviour, Config, ConfigBuilder, IdentTopic, MaxCountSubscriptionFilter, Message, MessageAcceptance,
    MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter, score_parameter_decay_with_base,
};
use libp2p::identity::Keypair;

/// The longest message.
pub const MAX_BYTES: usize = 1 << 20;
/// Topics that a peer may ask for at once.
const MAX_SUBSCRIPTIONS: usize = 100;
/// Between two looks at scores, and what counts as zero.
const DECAY_INTERVAL: Duration = Duration::from_secs(1);
const DECAY_TO_ZERO: f64 = 0.01;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What a topic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the docs")]
pub enum TopicKind {
    Blocks,
    Messages,
}

impl TopicKind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Blocks, Self::Messages];

    /// The name of the topic in a network.
    pub fn name(self, network: &str) -> String {
        match self {
            Self::Blocks => format!("/fil/blocks/{network}"),
            Self::Messages => format!("/fil/msgs/{network}"),
        }
    }

    pub(crate) fn topic(self, network: &str) -> IdentTopic {
        IdentTopic::new(self.name(network))
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on to others.
    Accept,
    /// It does not, and nobody is to blame.
    Ignore,
    /// It does not, and who sent it is trusted less.
    Reject,
}

impl From<Verdict> for MessageAcceptance {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Ignore => Self::Ignore,
            Verdict::Reject => Self::Reject,
        }
    }
}

/// Looks at messages, away from the network's own threads, several at a time.
pub type Judge = Arc<dyn Fn(TopicKind, &[u8]) -> Verdict + Send + Sync>;

/// The id of a message.
pub fn message_id(bytes: &[u8]) -> [u8; 32] {
    let hash = Params::new().hash_length(32).hash(bytes);
    let mut id = [0; 32];
    id.copy_from_slice(hash.as_bytes());
    id
}

/// Why gossip could not be set up: our own table is wrong.
#[derive(Debug, thiserror::Error)]
#[error("gossip: {0}")]
pub struct GossipError(String);

fn wrong(error: impl ToString) -> GossipError {
    GossipError(error.to_string())
}

/// Subscribes to nothing but a network's topics, and not to too many.
pub(crate) type Filter = MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>;
pub(crate) type Gossip = Behaviour<libp2p::gossipsub::IdentityTransform, Filter>;

pub(crate) fn behaviour(key: &Keypair, network: &str, is_bootstrapper: bool) -> Result<Gossip, GossipError> {
    let topics = TopicKind::ALL.map(|kind| kind.topic(network));
    let allowed: HashSet<_> = topics.iter().map(IdentTopic::hash).collect();
    let filter = MaxCountSubscriptionFilter {
        filter: WhitelistSubscriptionFilter(allowed),
        max_subscribed_topics: MAX_SUBSCRIPTIONS,
        max_subscriptions_per_request: MAX_SUBSCRIPTIONS,
    };
    let authenticity = MessageAuthenticity::Signed(key.clone());
    let config = config(is_bootstrapper).map_err(wrong)?;
    let mut gossip = Behaviour::new_with_subscription_filter(authenticity, config, filter).map_err(wrong)?;
    gossip.with_peer_score(scores(network), THRESHOLDS).map_err(wrong)?;
    Ok(gossip)
}

fn config(is_bootstrapper: bool) -> Result<Config, libp2p::gossipsub::ConfigBuilderError> {
    let id = |message: &Message| MessageId::new(&message_id(&message.data));
    let mut config = ConfigBuilder::default();
    config
        .message_id_fn(id)
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .max_transmit_size(MAX_BYTES)
        .flood_publish(true)
        .mesh_n(8)
        .mesh_n_low(6)
        .mesh_n_high(12)
        .retain_scores(6)
        .mesh_outbound_min(3)
        .gossip_lazy(12)
        .gossip_factor(0.1)
        .history_length(10)
        .history_gossip(3)
        .iwant_followup_time(Duration::from_secs(5));
    if is_bootstrapper {
        config
            .mesh_n(0)
            .mesh_n_low(0)
            .mesh_n_high(0)
            .retain_scores(0)
            .mesh_outbound_min(0)
            .gossip_lazy(64)
            .gossip_factor(0.25)
            .do_px()
            .prune_backoff(5 * MINUTE);
    }
    config.build()
}

const THRESHOLDS: PeerScoreThresholds = PeerScoreThresholds {
    gossip_threshold: -500.0,
    publish_threshold: -1000.0,
    graylist_threshold: -2500.0,
    accept_px_threshold: 1000.0,
    opportunistic_graft_threshold: 3.5,
};

fn scores(network: &str) -> PeerScoreParams {
    let topics = TopicKind::ALL.map(|kind| (kind.topic(network).hash(), topic_scores(kind)));
    PeerScoreParams {
        topics: HashMap::from(topics),
        app_specific_weight: 1.0,
        ip_colocation_factor_threshold: 5.0,
        ip_colocation_factor_weight: -100.0,
        // Many nodes on one machine are a test and no attack.
        ip_colocation_factor_whitelist: HashSet::from([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]),
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_decay: decay(HOUR),
        decay_interval: DECAY_INTERVAL,
        decay_to_zero: DECAY_TO_ZERO,
        retain_score: 6 * HOUR,
        ..PeerScoreParams::default()
    }
}

fn decay(over: Duration) -> f64 {
    score_parameter_decay_with_base(over, DECAY_INTERVAL, DECAY_TO_ZERO)
}

fn topic_scores(kind: TopicKind) -> TopicScoreParams {
    let (time_in_mesh_weight, first_message_deliveries_weight, first_message_deliveries_decay) = match kind {
        TopicKind::Blocks => (0.00027, 5.0, decay(HOUR)),
        TopicKind::Messages => (0.000_277_8, 0.5, decay(10 * MINUTE)),
    };
    TopicScoreParams {
        topic_weight: 0.1,
        time_in_mesh_weight,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 1.0,
        first_message_deliveries_weight,
        first_message_deliveries_decay,
        first_message_deliveries_cap: 100.0,
        // No penalties for delivering too little.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1000.0,
        invalid_message_deliveries_decay: decay(HOUR),
        ..TopicScoreParams::default()
    }
}
