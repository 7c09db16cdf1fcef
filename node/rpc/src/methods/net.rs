//! About the network.

use filecash_net::host::{Host, HostError, PeerInfo};
use filecash_net::{Multiaddr, PeerId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;

use crate::call::{Fault, Params, result};
use crate::methods::Told;
use crate::node::Node;

/// Addresses of a peer that are tried.
const MAX_ADDRESSES: usize = 16;

/// A peer's id.
#[derive(Clone, Copy)]
struct Peer(PeerId);

impl Serialize for Peer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_base58())
    }
}

impl<'de> Deserialize<'de> for Peer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| serde::de::Error::custom(format!("{text:?} is no id of a peer")))
    }
}

/// A peer and where it is.
#[derive(Serialize, Deserialize)]
struct Place {
    #[serde(rename = "ID")]
    peer: Peer,
    #[serde(rename = "Addrs")]
    addresses: Option<Vec<String>>,
}

impl Place {
    /// Its addresses are told without its id.
    fn new(peer: PeerId, addresses: &[Multiaddr]) -> Self {
        let end = format!("/p2p/{}", peer.to_base58());
        let bare = |address: &Multiaddr| {
            let text = address.to_string();
            text.strip_suffix(&end).unwrap_or(&text).to_owned()
        };
        Self { peer: Peer(peer), addresses: Some(addresses.iter().map(bare).collect()) }
    }

    /// Its addresses, each with its id at the end.
    fn whole(&self) -> Result<Vec<Multiaddr>, Fault> {
        let end = format!("/p2p/{}", self.peer.0.to_base58());
        let whole = |text: &String| {
            let bare = text.strip_suffix(&end).unwrap_or(text);
            format!("{bare}{end}").parse().map_err(|_| Fault::Failed(format!("{text:?} is no address of a peer")))
        };
        self.addresses.iter().flatten().take(MAX_ADDRESSES).map(whole).collect()
    }
}

/// That a node without a host was asked for one.
pub fn nobody() -> Fault {
    Fault::Failed("this node is on no network".to_owned())
}

fn failed(error: HostError) -> Fault {
    Fault::of(&error)
}

fn host(node: &Node) -> Result<&Host, Fault> {
    node.host.as_ref().ok_or_else(nobody)
}

async fn connected(node: &Node) -> Result<Vec<PeerInfo>, Fault> {
    let mut peers = host(node)?.peers().await.map_err(failed)?;
    peers.sort_unstable_by_key(|info| info.peer);
    Ok(peers)
}

/// What is known of a connected peer.
async fn known(node: &Node, params: &Params) -> Result<Option<PeerInfo>, Fault> {
    let Peer(peer) = params.get(0)?;
    Ok(connected(node).await?.into_iter().find(|info| info.peer == peer))
}

pub fn peers<'a>(node: &'a Node, _: &'a Params) -> Told<'a> {
    Box::pin(async {
        let peers = connected(node).await?;
        result(&peers.iter().map(|info| Place::new(info.peer, &info.addresses)).collect::<Vec<_>>())
    })
}

pub fn listening<'a>(node: &'a Node, _: &'a Params) -> Told<'a> {
    Box::pin(async {
        let host = host(node)?;
        result(&Place::new(host.peer_id(), &host.addresses().await.map_err(failed)?))
    })
}

/// Zero for who is not connected, one for who is.
pub fn connectedness<'a>(node: &'a Node, params: &'a Params) -> Told<'a> {
    Box::pin(async { result(&u8::from(known(node, params).await?.is_some())) })
}

pub fn agent<'a>(node: &'a Node, params: &'a Params) -> Told<'a> {
    Box::pin(async {
        let agent = known(node, params).await?.and_then(|info| info.agent);
        result(&agent.ok_or_else(|| Fault::Failed("the peer is not connected, or has not said what it is".to_owned()))?)
    })
}

/// What Lotus tells beside the score is not known here.
pub fn scores<'a>(node: &'a Node, _: &'a Params) -> Told<'a> {
    Box::pin(async {
        let told = |info: PeerInfo| {
            let score = json!({
                "Score": info.score.unwrap_or_default(), "Topics": null, "AppSpecificScore": 0, "IPColocationFactor": 0,
                "BehaviourPenalty": 0,
            });
            json!({ "ID": Peer(info.peer), "Score": score })
        };
        result(&connected(node).await?.into_iter().map(told).collect::<Vec<_>>())
    })
}

/// Where a peer is: connected, or as others say.
pub fn find<'a>(node: &'a Node, params: &'a Params) -> Told<'a> {
    Box::pin(async {
        let Peer(peer) = params.get(0)?;
        if let Some(info) = known(node, params).await? {
            return result(&Place::new(peer, &info.addresses));
        }
        match &host(node)?.find_peer(peer).await.map_err(failed)?[..] {
            [] => Err(Fault::Failed("routing: not found".to_owned())),
            found => result(&Place::new(peer, found)),
        }
    })
}

pub fn connect<'a>(node: &'a Node, params: &'a Params) -> Told<'a> {
    Box::pin(async {
        let place: Place = params.get(0)?;
        let connected = host(node)?.connect(place.whole()?).await;
        connected.map_err(failed).and_then(|_| result(&()))
    })
}

pub fn disconnect<'a>(node: &'a Node, params: &'a Params) -> Told<'a> {
    Box::pin(async {
        let Peer(peer) = params.get(0)?;
        host(node)?.disconnect(peer).await.map_err(failed).and_then(|_| result(&()))
    })
}
