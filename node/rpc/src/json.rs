//! The objects of the chain as Lotus writes them in JSON.
//!
//! | Object | In JSON |
//! |---|---|
//! | CID | `{"/": "bafy…"}` |
//! | bytes | base64 with padding; null for none |
//! | amounts | decimal texts |
//! | addresses | texts, with the network's letter |
//! | lists in headers | null for none; lists that Lotus makes itself are `[]` |
//! | objects | their fields by the names that Go has for them; messages have their `CID` too |
//!
//! Source: `spec/attach.md` B.3; `spec/chain.md` 2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_chain::address::Prefix;
use filecash_chain::block_messages::{BlockMessages, ChainMessage};
use filecash_chain::state::Actor;
use filecash_chain::{Address, Amount, BlockHeader, Message, Object, Signature, SignedMessage, Tipset};
use filecash_ipld::Cid;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A CID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub Cid);

#[derive(Serialize, Deserialize)]
struct Slash {
    #[serde(rename = "/")]
    cid: String,
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Slash { cid: self.0.to_string() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Slash::deserialize(deserializer)?.cid;
        text.parse().map(Self).map_err(|error| D::Error::custom(format!("{text:?} is no CID: {error}")))
    }
}

/// The key of a tipset, as a parameter: null and `[]` stand for the head where Lotus has it so.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Key(Option<Vec<Link>>);

impl Key {
    /// Its CIDs.
    pub fn cids(&self) -> Vec<Cid> {
        self.0.iter().flatten().map(|link| link.0).collect()
    }
}

/// An address, as a parameter.
#[derive(Clone, Copy, Debug)]
pub struct AddressText(pub Address);

impl<'de> Deserialize<'de> for AddressText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| D::Error::custom(format!("{text:?} is no address: {error}")))
    }
}

/// Bytes.
fn base64(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| STANDARD.encode(bytes))
}

/// A list that is null if there is nothing in it.
fn unless_empty<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn links(cids: &[Cid]) -> Vec<Link> {
    cids.iter().copied().map(Link).collect()
}

fn text<S: Serializer>(amount: &Amount, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// A tipset.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TipsetJson<'a> {
    cids: Vec<Link>,
    blocks: Vec<HeaderJson<'a>>,
    height: i64,
}

impl<'a> TipsetJson<'a> {
    /// Of a tipset, with addresses in a network's way.
    pub fn new(tipset: &'a Tipset, prefix: Prefix) -> Self {
        let blocks = tipset.headers().map(|header| HeaderJson::new(header, prefix)).collect();
        Self { cids: links(&tipset.key()), blocks, height: tipset.height() }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TicketJson {
    #[serde(rename = "VRFProof")]
    vrf_proof: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ElectionJson {
    win_count: i64,
    #[serde(rename = "VRFProof")]
    vrf_proof: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BeaconJson {
    round: u64,
    data: Option<String>,
}

#[derive(Debug, Serialize)]
struct PoStJson {
    #[serde(rename = "PoStProof")]
    proof_type: i64,
    #[serde(rename = "ProofBytes")]
    proof: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SignatureJson {
    r#type: u8,
    data: String,
}

impl SignatureJson {
    fn new(signature: &Signature) -> Self {
        let (r#type, bytes) = match signature {
            Signature::Secp256k1(bytes) => (1, &bytes[..]),
            Signature::Bls(bytes) => (2, &bytes[..]),
        };
        Self { r#type, data: STANDARD.encode(bytes) }
    }
}

/// The header of a block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HeaderJson<'a> {
    miner: String,
    ticket: Option<TicketJson>,
    election_proof: Option<ElectionJson>,
    beacon_entries: Option<Vec<BeaconJson>>,
    #[serde(rename = "WinPoStProof")]
    winning_post: Option<Vec<PoStJson>>,
    parents: Option<Vec<Link>>,
    #[serde(serialize_with = "text")]
    parent_weight: &'a Amount,
    height: i64,
    parent_state_root: Link,
    #[serde(rename = "ParentMessageReceipts")]
    parent_receipts: Link,
    messages: Link,
    #[serde(rename = "BLSAggregate")]
    bls_aggregate: Option<SignatureJson>,
    timestamp: u64,
    #[serde(rename = "BlockSig")]
    signature: Option<SignatureJson>,
    fork_signaling: u64,
    #[serde(serialize_with = "text")]
    parent_base_fee: &'a Amount,
}

impl<'a> HeaderJson<'a> {
    /// Of a header, with addresses in a network's way.
    pub fn new(header: &'a BlockHeader, prefix: Prefix) -> Self {
        let ticket = header.ticket.as_ref().map(|ticket| TicketJson { vrf_proof: base64(&ticket.vrf_proof) });
        let election = header.election_proof.as_ref();
        let beacon = header.beacon_entries.iter();
        let winning = header.winning_post.iter();
        Self {
            miner: header.miner.to_text(prefix),
            ticket,
            election_proof: election
                .map(|proof| ElectionJson { win_count: proof.win_count, vrf_proof: base64(&proof.vrf_proof) }),
            beacon_entries: unless_empty(
                beacon.map(|entry| BeaconJson { round: entry.round, data: base64(&entry.data) }).collect(),
            ),
            winning_post: unless_empty(
                winning.map(|post| PoStJson { proof_type: post.proof_type, proof: base64(&post.proof) }).collect(),
            ),
            parents: unless_empty(links(&header.parents)),
            parent_weight: &header.parent_weight,
            height: header.height,
            parent_state_root: Link(header.parent_state_root),
            parent_receipts: Link(header.parent_receipts),
            messages: Link(header.messages),
            bls_aggregate: header.bls_aggregate.as_ref().map(SignatureJson::new),
            timestamp: header.timestamp,
            signature: header.signature.as_ref().map(SignatureJson::new),
            fork_signaling: header.fork_signaling,
            parent_base_fee: &header.parent_base_fee,
        }
    }
}

/// A message, with its own CID.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageJson<'a> {
    version: u64,
    to: String,
    from: String,
    nonce: u64,
    #[serde(serialize_with = "text")]
    value: &'a Amount,
    gas_limit: i64,
    #[serde(serialize_with = "text")]
    gas_fee_cap: &'a Amount,
    #[serde(serialize_with = "text")]
    gas_premium: &'a Amount,
    method: u64,
    params: Option<String>,
    #[serde(rename = "CID")]
    cid: Link,
}

impl<'a> MessageJson<'a> {
    /// Of a message, with addresses in a network's way.
    pub fn new(message: &'a Message, prefix: Prefix) -> Self {
        Self {
            version: message.version,
            to: message.to.to_text(prefix),
            from: message.from.to_text(prefix),
            nonce: message.nonce,
            value: &message.value,
            gas_limit: message.gas_limit,
            gas_fee_cap: &message.gas_fee_cap,
            gas_premium: &message.gas_premium,
            method: message.method,
            params: base64(&message.params),
            cid: Link(message.cid()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SignedJson<'a> {
    message: MessageJson<'a>,
    signature: SignatureJson,
    #[serde(rename = "CID")]
    cid: Link,
}

/// The messages of a block.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BlockMessagesJson<'a> {
    bls_messages: Vec<MessageJson<'a>>,
    secpk_messages: Vec<SignedJson<'a>>,
    cids: Vec<Link>,
}

impl<'a> BlockMessagesJson<'a> {
    /// Of messages, with addresses in a network's way.
    pub fn new(messages: &'a BlockMessages, prefix: Prefix) -> Self {
        let signed = |signed: &'a SignedMessage| SignedJson {
            message: MessageJson::new(&signed.message, prefix),
            signature: SignatureJson::new(&signed.signature),
            cid: Link(signed.cid()),
        };
        Self {
            bls_messages: messages.bls.iter().map(|message| MessageJson::new(message, prefix)).collect(),
            secpk_messages: messages.secp.iter().map(|message| signed(message)).collect(),
            cids: messages.iter().map(|message| Link(message.cid())).collect(),
        }
    }
}

/// A message with the CID that blocks have of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NamedMessageJson<'a> {
    cid: Link,
    message: MessageJson<'a>,
}

impl<'a> NamedMessageJson<'a> {
    /// Of a message, with addresses in a network's way.
    pub fn new(message: &'a ChainMessage, prefix: Prefix) -> Self {
        Self { cid: Link(message.cid()), message: MessageJson::new(message.message(), prefix) }
    }
}

/// An actor.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActorJson<'a> {
    code: Link,
    head: Link,
    nonce: u64,
    #[serde(serialize_with = "text")]
    balance: &'a Amount,
}

impl<'a> ActorJson<'a> {
    /// Of an actor.
    pub fn new(actor: &'a Actor) -> Self {
        Self { code: Link(actor.code), head: Link(actor.head), nonce: actor.nonce, balance: &actor.balance }
    }
}
