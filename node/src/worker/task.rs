//! What jobs are to do, as the JSON of their `task`. What they read comes beside it, and which proof it is from the job.

use serde::{Deserialize, Serialize};

use crate::hex32::Hex32;

/// PC1, PC2, synthetic proofs, C1, finalize: steps of a sector in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SectorTask {
    /// The folder in its storage.
    pub folder: String,
    /// The prover.
    pub prover_id: Hex32,
    /// The sector's number.
    pub sector: u64,
    /// The seed, for C1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Hex32>,
}

/// Where a sector is after finalize: the output of that step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The storage.
    pub storage: String,
    /// The folder in there.
    pub folder: String,
}

/// C2: the input is a C1 output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealTask {
    /// The prover.
    pub prover_id: Hex32,
    /// The sector's number.
    pub sector: u64,
}

/// A proof of space-time: the input is vanilla proofs, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoStTask {
    /// The prover.
    pub prover_id: Hex32,
    /// The randomness, masked.
    pub randomness: Hex32,
    /// Which partition of a window it is.
    #[serde(default)]
    pub partition: u64,
    /// Bytes of each vanilla proof.
    pub lengths: Vec<usize>,
}

/// The proof of an update: the input is the vanilla proofs of its partitions, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateTask {
    /// CommR before.
    pub comm_r_old: Hex32,
    /// CommR after.
    pub comm_r_new: Hex32,
    /// CommD after.
    pub comm_d_new: Hex32,
    /// Bytes of each vanilla proof.
    pub lengths: Vec<usize>,
}

/// The parts of an input; `None` unless the lengths are those of the whole.
pub fn split<'a>(mut input: &'a [u8], lengths: &[usize]) -> Option<Vec<&'a [u8]>> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = input.split_at_checked(*length)?;
        parts.push(part);
        input = rest;
    }
    input.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_split_where_they_end() {
        assert_eq!(split(b"abcde", &[2, 0, 3]).unwrap(), [&b"ab"[..], b"", b"cde"]);
        assert_eq!(split(b"", &[]), Some(vec![]));
        for lengths in [&[2][..], &[6], &[5, 1], &[usize::MAX, 1]] {
            assert_eq!(split(b"abcde", lengths), None);
        }
    }
}
