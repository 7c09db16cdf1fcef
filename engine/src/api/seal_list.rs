//! A list of sealed sectors with their proofs, as a file between the steps of batches and aggregates.
//!
//! ```json
//! { "registered_proof": "StackedDrg2KiBV1_1",
//!   "seals": [ { "prover_id": "…", "sector": 1, "ticket": "…", "seed": "…", "comm_r": "…", "comm_d": "…", "proof": "…" } ] }
//! ```
//!
//! Bytes are lower-case hex digits: 64 for each of the identifiers and commitments, 384 for each partition of a proof,
//! which may be left out where an aggregate stands for it. The order counts: an aggregate is of a list in its order.
//!
//! The format is ours; the reference has none.

use serde::{Deserialize, Serialize};

use super::SectorIdentity;
use super::batch::{ProvenSeal, SealStatement};
use crate::sector::{Profile, SealProof, UnknownProof};

/// Sealed sectors of one registered proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealList {
    /// The registered proof.
    pub proof: SealProof,
    /// Statements, each with its proof; no bytes where there is none.
    pub seals: Vec<(SealStatement, Vec<u8>)>,
}

/// Why bytes are not a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SealListError {
    #[error("no list of seals")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    UnknownProof(#[from] UnknownProof),
    #[error("seal {index}: {field} is not {expected} hex digits")]
    Hex { index: usize, field: &'static str, expected: &'static str },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    registered_proof: String,
    seals: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    prover_id: String,
    sector: u64,
    ticket: String,
    seed: String,
    comm_r: String,
    comm_d: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    proof: String,
}

impl SealList {
    /// Reads a list of a network.
    ///
    /// # Errors
    /// [`SealListError`].
    pub fn from_json(profile: Profile, bytes: &[u8]) -> Result<Self, SealListError> {
        let file: File = serde_json::from_slice(bytes)?;
        let proof = SealProof::by_name(profile, &file.registered_proof)?;
        let seals = file.seals.iter().enumerate().map(|(index, entry)| entry.read(index)).collect::<Result<_, _>>()?;
        Ok(Self { proof, seals })
    }

    /// The bytes of the file.
    pub fn to_json(&self) -> Vec<u8> {
        let seals = self.seals.iter().map(|(statement, proof)| Entry::new(statement, proof)).collect();
        let file = File { registered_proof: self.proof.name.to_owned(), seals };
        let mut bytes = serde_json::to_vec_pretty(&file).expect("strings and numbers have a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// The seals for verification.
    pub fn proven(&self) -> Vec<ProvenSeal<'_>> {
        self.seals.iter().map(|(statement, proof)| ProvenSeal { statement: *statement, proof }).collect()
    }

    /// The statements alone.
    pub fn statements(&self) -> Vec<SealStatement> {
        self.seals.iter().map(|(statement, _)| *statement).collect()
    }
}

impl Entry {
    fn new(statement: &SealStatement, proof: &[u8]) -> Self {
        let SealStatement { identity: SectorIdentity { prover_id, sector_id, ticket }, comm_r, comm_d, seed } =
            statement;
        let [prover_id, ticket, seed, comm_r, comm_d] = [prover_id, ticket, seed, comm_r, comm_d].map(hex::encode);
        Self { prover_id, sector: *sector_id, ticket, seed, comm_r, comm_d, proof: hex::encode(proof) }
    }

    fn read(&self, index: usize) -> Result<(SealStatement, Vec<u8>), SealListError> {
        let bytes = |field, text: &str| {
            let mut bytes = [0; 32];
            let decoded = hex::decode_to_slice(text, &mut bytes);
            decoded.map(|()| bytes).map_err(|_| SealListError::Hex { index, field, expected: "64" })
        };
        let identity = SectorIdentity {
            prover_id: bytes("prover_id", &self.prover_id)?,
            sector_id: self.sector,
            ticket: bytes("ticket", &self.ticket)?,
        };
        let statement = SealStatement {
            identity,
            comm_r: bytes("comm_r", &self.comm_r)?,
            comm_d: bytes("comm_d", &self.comm_d)?,
            seed: bytes("seed", &self.seed)?,
        };
        let odd = SealListError::Hex { index, field: "proof", expected: "an even number of" };
        Ok((statement, hex::decode(&self.proof).map_err(|_| odd)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> SealList {
        let statement = |sector_id: u64| SealStatement {
            identity: SectorIdentity { prover_id: [9; 32], sector_id, ticket: [1; 32] },
            comm_r: [2; 32],
            comm_d: [3; 32],
            seed: [4; 32],
        };
        let proof = SealProof::for_size(Profile::Filecoin, 2048).unwrap();
        SealList { proof, seals: vec![(statement(1), vec![0xab; 192]), (statement(u64::MAX), vec![])] }
    }

    #[test]
    fn lists_come_back() {
        let bytes = list().to_json();
        assert_eq!(SealList::from_json(Profile::Filecoin, &bytes).unwrap(), list());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("\"registered_proof\": \"StackedDrg2KiBV1_1\""), "{text}");
        assert_eq!(text.matches("\"proof\"").count(), 1, "{text}");
    }

    #[test]
    fn other_texts_are_refused() {
        let text = String::from_utf8(list().to_json()).unwrap();
        let refused = |text: &str, expected: &str| {
            let error = SealList::from_json(Profile::Filecoin, text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        };
        refused("[]", "no list of seals");
        refused(&text.replace("\"seed\"", "\"sed\""), "no list of seals");
        refused(&text.replace("2KiBV1_1", "3KiBV1_1"), "filecoin has no seal proof");
        refused(&text.replacen("0202", "02", 1), "seal 0: comm_r is not 64 hex digits");
        refused(&text.replacen("abab", "aba", 1), "seal 0: proof is not an even number of hex digits");
        refused(&text.replacen("abab", "abxy", 1), "seal 0: proof");
    }
}
