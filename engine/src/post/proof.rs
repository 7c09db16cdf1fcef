//! The vanilla proof of one sector in a proof of space-time: TreeR-last opened at every challenged leaf.
//!
//! Its bytes are bincode, the same on both networks:
//!
//! ```text
//! u64 sector ‖ comm_r[32] ‖ u64 1 ‖ u64 c ‖ c inclusion proofs, in the order of challenges ‖ comm_c[32] ‖ comm_r_last[32]
//! ```
//!
//! (A list of one element stands where a whole partition's sectors could; the reference's `FallbackPoStSectorProof`.)
//! The length follows from sector size and kind alone, and nothing of another length is looked at.
//!
//! Source: `spec/replication.md` 3.2, 10.5.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::field::{Node, fr};
use crate::merkle::path::{MerkleProof, TreeKind};
use crate::porep::codec::{CodecError, from_bincode, write_bincode};
use crate::porep::proof::{MalformedProof, count};
use crate::sector::{PoStConfig, SectorId, TreeShape};

/// What is shown of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectorProof {
    /// TreeR-last at each challenged leaf, in order.
    pub inclusion_proofs: Vec<MerkleProof>,
    /// Root of TreeC.
    pub comm_c: Node,
    /// Root of TreeR-last.
    pub comm_r_last: Node,
}

/// The vanilla proof of one sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VanillaPoSt {
    /// The sector's number.
    pub sector_id: SectorId,
    /// `H(comm_c, comm_r_last)`.
    pub comm_r: Node,
    /// What is shown of it.
    pub proof: SectorProof,
}

/// Why bytes are no vanilla proof.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum VanillaCodecError {
    #[error(transparent)]
    Codec(CodecError),
    #[error(transparent)]
    Malformed(#[from] MalformedProof),
    #[error("comm_r of the vanilla proof is no field element")]
    CommR(#[source] crate::field::NonCanonical),
}

/// What the form of a vanilla proof depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VanillaForm {
    /// Leaves of TreeR-last.
    pub nodes: u64,
    /// Its arities.
    pub tree: TreeShape,
    /// Leaves that are opened.
    pub challenges: usize,
}

impl From<&PoStConfig> for VanillaForm {
    fn from(config: &PoStConfig) -> Self {
        Self { nodes: config.params.nodes(), tree: config.params.shape, challenges: config.challenges() }
    }
}

impl VanillaForm {
    /// Bytes of a vanilla proof.
    pub fn byte_len(&self) -> u64 {
        let element = |arity: usize| 16 + 32 * (arity as u64 - 1);
        let TreeShape { base, sub, top } = self.tree;
        let above = |arity: usize| if arity > 0 { 8 + element(arity) } else { 0 };
        let base_leaves = self.nodes / self.tree.base_trees() as u64;
        let levels = u64::from(base_leaves.trailing_zeros() / base.trailing_zeros());
        let inclusion = 4 + 64 + 8 + levels * element(base) + above(sub) + above(top);
        120 + self.challenges as u64 * inclusion
    }

    /// TreeR-last.
    pub(crate) fn kind(&self) -> TreeKind {
        TreeKind::Poseidon(self.tree)
    }

    /// Checks counts and positions, and that every node is a field element; no hash.
    ///
    /// # Errors
    /// [`MalformedProof`], the first thing that is not as in this sector's proofs.
    pub fn check(&self, proof: &SectorProof) -> Result<(), MalformedProof> {
        count("opened leaves", self.challenges, proof.inclusion_proofs.len())?;
        let canonical = |node: &Node| fr::from_node(node).map(drop);
        canonical(&proof.comm_c)?;
        canonical(&proof.comm_r_last)?;
        proof.inclusion_proofs.iter().try_for_each(|proof| {
            proof
                .check_shape(self.kind(), self.nodes)
                .map_err(|source| MalformedProof::Path { tree: "TreeR-last", source })?;
            [proof.root(), proof.leaf()].into_iter().try_for_each(canonical)?;
            proof.levels().flat_map(|level| &level.hashes).try_for_each(canonical)?;
            Ok(())
        })
    }
}

impl VanillaPoSt {
    /// Reads the bytes of a vanilla proof; whether it holds is not looked at.
    ///
    /// # Errors
    /// [`VanillaCodecError`] unless length, counts, positions and every node are in order.
    pub fn decode(config: &PoStConfig, bytes: &[u8]) -> Result<Self, VanillaCodecError> {
        Self::decode_as(&config.into(), bytes)
    }

    pub(crate) fn decode_as(form: &VanillaForm, bytes: &[u8]) -> Result<Self, VanillaCodecError> {
        let (sector_id, comm_r, proofs): (SectorId, Node, Vec<SectorProof>) =
            from_bincode(bytes, form.byte_len()).map_err(VanillaCodecError::Codec)?;
        count("sectors in a vanilla proof", 1, proofs.len())?;
        let proof =
            proofs.into_iter().next().ok_or(MalformedProof::Count { what: "sectors", expected: 1, actual: 0 })?;
        fr::from_node(&comm_r).map_err(VanillaCodecError::CommR)?;
        form.check(&proof)?;
        Ok(Self { sector_id, comm_r, proof })
    }

    /// Writes the bytes.
    ///
    /// # Errors
    /// [`VanillaCodecError::Codec`], which stands for an error of the sink.
    pub fn encode(&self, sink: impl Write) -> Result<(), VanillaCodecError> {
        let proofs = std::slice::from_ref(&self.proof);
        write_bincode(&(self.sector_id, self.comm_r, proofs), sink).map_err(VanillaCodecError::Codec)
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`VanillaCodecError::Codec`], which does not happen in memory.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VanillaCodecError> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sector::{ApiVersion, PoStKind, Profile, params};

    /// spec/replication.md 3.2, "PoSt sector proof".
    #[test]
    fn lengths_match_reference() {
        let table = [
            (2 << 10, 36816, 5680),
            (4 << 10, 40512, 6240),
            (16 << 10, 53184, 8160),
            (32 << 10, 56880, 8720),
            (8 << 20, 100176, 15280),
            (16 << 20, 103872, 15840),
            (512 << 20, 131856, 20080),
            (1 << 30, 135552, 20640),
            (32 << 30, 164064, 24960),
            (64 << 30, 167760, 25520),
            (4 << 30, 147696, 22480),
            (16 << 30, 155616, 23680),
        ];
        for (size, winning, window) in table {
            let length = |kind| {
                let params = params::for_size(Profile::Filecash, size).unwrap();
                let api_version = ApiVersion::V1_0_0;
                VanillaForm::from(&PoStConfig { profile: Profile::Filecash, params, kind, api_version }).byte_len()
            };
            assert_eq!((length(PoStKind::Winning), length(PoStKind::Window)), (winning, window), "{size}");
        }
    }
}
