//! Values as Lotus writes them in JSON.
//!
//! Source: `spec/attach.md` B.3.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::sector::Profile;
use filecash_engine::sector::cid::{CidError, parse_data, parse_replica};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::hex32::Hex32;

/// A sector of a miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SectorId {
    /// The miner's actor.
    pub miner: u64,
    /// The sector's number.
    pub number: u64,
}

/// As the fork's operators see it.
impl fmt::Display for SectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{},{}}}", self.miner, self.number)
    }
}

/// A sector and the number of its seal proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SectorRef {
    /// The sector.
    #[serde(rename = "ID")]
    pub id: SectorId,
    /// The number.
    pub proof_type: u32,
}

/// The name of a call whose result comes later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CallId {
    /// The sector, as it was asked for.
    pub sector: SectorId,
    /// Ours.
    #[serde(rename = "ID")]
    pub id: Uuid,
}

/// A CID.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its text.
    #[serde(rename = "/")]
    pub cid: String,
}

impl Link {
    /// The CommR in it.
    pub fn replica(&self) -> Result<Hex32, CidError> {
        parse_replica(&self.cid).map(Hex32)
    }

    /// The CommD or CommP in it.
    pub fn data(&self) -> Result<Hex32, CidError> {
        parse_data(&self.cid).map(Hex32)
    }
}

/// Bytes, as base64; none is also `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?.unwrap_or_default();
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|error| D::Error::custom(format!("no base64: {error}")))
    }
}

/// The actor in an address such as `f01000`, or `t01000`.
pub fn actor_of(address: &str) -> Option<u64> {
    address.strip_prefix("t0").or_else(|| address.strip_prefix("f0"))?.parse().ok()
}

/// What requests of calls by one miner begin with in the queue.
pub fn prefix(profile: Profile, miner: u64) -> String {
    format!("{}{profile}/{miner}/", crate::jobs::TOLD)
}

impl CallId {
    /// A new one.
    pub fn new(sector: SectorId, random: [u8; 16]) -> Self {
        Self { sector, id: uuid::Builder::from_random_bytes(random).into_uuid() }
    }

    /// Its request in the queue.
    pub fn request(&self, profile: Profile) -> String {
        format!("{}{}/{}", prefix(profile, self.sector.miner), self.sector.number, self.id)
    }

    /// The one that a request in the queue is of.
    pub fn of_request(request: &str) -> Option<Self> {
        let parts: Vec<&str> = request.strip_prefix(crate::jobs::TOLD)?.split('/').collect();
        let [_, miner, number, id] = parts[..] else { return None };
        let sector = SectorId { miner: miner.parse().ok()?, number: number.parse().ok()? };
        Some(Self { sector, id: id.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_as_lotus_writes_them() {
        let sector = SectorId { miner: 1000, number: 7 };
        assert_eq!(json!(sector), json!({ "Miner": 1000, "Number": 7 }));
        let of_text = serde_json::from_value(json!({ "ID": sector, "ProofType": 8 }));
        assert_eq!(of_text.ok(), Some(SectorRef { id: sector, proof_type: 8 }));
        let call = CallId::new(sector, [0xff; 16]);
        assert_eq!(json!(call), json!({ "Sector": sector, "ID": "ffffffff-ffff-4fff-bfff-ffffffffffff" }));
        let request = call.request(Profile::Filecash);
        assert_eq!(CallId::of_request(&request), Some(call), "{request}");
        for other in ["", "remote-c2/x", "lotus/filecash/1/2", "lotus/filecash/1/2/x", &format!("{request}/1")] {
            assert_eq!(CallId::of_request(other), None, "{other}");
        }
        assert_eq!(json!(Bytes(b"ab".to_vec())), json!("YWI="));
        for (text, bytes) in [("\"YWI=\"", &b"ab"[..]), ("\"\"", b""), ("null", b""), ("\"YWI\\u003d\"", b"ab")] {
            assert_eq!(serde_json::from_str::<Bytes>(text).unwrap().0, bytes);
        }
        for text in ["\"YWI\"", "\"_w==\"", "[1, 2]", "7"] {
            assert!(serde_json::from_str::<Bytes>(text).is_err(), "{text}");
        }
    }
}
