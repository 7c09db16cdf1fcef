//! What the phases hand to each other, in the forms that hosts exchange.
//!
//! Each output has a *library form*, without a registered proof, and an *API form*, which begins with the registered
//! proof's name and puts what depends on the sector size under the name of that size (that of version 1, always):
//!
//! ```text
//! PC1  {"registered_proof":…,"labels":{"StackedDrg2KiBV1":{"labels":[store, …],"_h":null}},"config":store,"comm_d":[…]}
//! PC2  {"registered_proof":…,"comm_r":[…],"comm_d":[…]}
//! C1   {"registered_proof":…,"vanilla_proofs":{"StackedDrg2KiBV1":[[proof, …], …]},
//!       "comm_r":[…],"comm_d":[…],"replica_id":element,"seed":[…],"ticket":[…]}
//! ```
//!
//! In the library form the names are left out and what is under them stands in their place. bincode of C1's API form is
//! `u32 registered number ‖ u32 number of the size ‖ library form`.
//!
//! Source: `spec/replication.md` 5.6, 6.6, 8.3.

use std::io::Write;
use std::marker::PhantomData;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::field::{Node, fr};
use crate::porep::challenges::layout;
use crate::porep::codec::{
    BySize, CodecError, Element, Form, Limbs, Partitions, Registered, Tagged, from_bincode, from_json, from_json_of,
    size_number, write_bincode, write_json,
};
use crate::porep::proof::{Proof, ProofShape};
use crate::sector::{PoRepConfig, Profile, SealProof, SectorParams};
use crate::store::aux::StoreConfig;

/// Phase 1 of the pre-commit: where the labels and TreeD are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreCommit1Output {
    /// Layer 1 to the last. Paths are those of the host that ran the phase.
    pub labels: Vec<StoreConfig>,
    /// TreeD.
    pub config: StoreConfig,
    /// The commitment to the data.
    pub comm_d: Node,
}

/// The reference's `Labels`.
#[derive(Serialize, Deserialize)]
struct Labels {
    labels: Vec<StoreConfig>,
    #[serde(rename = "_h")]
    marker: PhantomData<()>,
}

#[derive(Serialize, Deserialize)]
struct Pc1<R, L> {
    registered_proof: R,
    labels: L,
    config: StoreConfig,
    comm_d: Node,
}

#[derive(Serialize, Deserialize)]
struct Pc1Library {
    labels: Labels,
    config: StoreConfig,
    comm_d: Node,
}

impl PreCommit1Output {
    /// The output of a sector whose cache folder is `cache`.
    pub fn new(cache: &str, params: &SectorParams, comm_d: Node) -> Self {
        Self {
            labels: (1..=params.layers).map(|layer| StoreConfig::layer(cache, params, layer)).collect(),
            config: StoreConfig::tree_d(cache, params),
            comm_d,
        }
    }

    fn labels(&self) -> Labels {
        Labels { labels: self.labels.clone(), marker: PhantomData }
    }

    /// Writes the library form.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_json(&self, sink: impl Write) -> Result<(), CodecError> {
        let form = Pc1Library { labels: self.labels(), config: self.config.clone(), comm_d: self.comm_d };
        write_json(&form, sink)
    }

    /// Writes the API form.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_api_json(&self, proof: &SealProof, sink: impl Write) -> Result<(), CodecError> {
        let form = Pc1 {
            registered_proof: Registered(proof),
            labels: BySize { proof, value: self.labels() },
            config: self.config.clone(),
            comm_d: self.comm_d,
        };
        write_json(&form, sink)
    }

    /// Reads the library form of a sector of these parameters.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_json(config: &PoRepConfig, bytes: &[u8]) -> Result<Self, CodecError> {
        let form: Pc1Library = from_json(bytes)?;
        Self { labels: form.labels.labels, config: form.config, comm_d: form.comm_d }.checked(config.params)
    }

    /// Reads the API form.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_api_json(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError> {
        let form = from_json::<Pc1<String, Tagged<Labels>>>(bytes)?;
        let proof = SealProof::by_name(profile, &form.registered_proof)?;
        let output = Self { labels: form.labels.of(&proof)?.labels, config: form.config, comm_d: form.comm_d };
        Ok((proof, output.checked(proof.config().params)?))
    }

    fn checked(self, params: &SectorParams) -> Result<Self, CodecError> {
        let expected = Self::new("", params, self.comm_d);
        count("layers", expected.labels.len(), self.labels.len())?;
        self.labels.iter().zip(&expected.labels).try_for_each(|(store, expected)| store.expect(expected))?;
        self.config.expect(&expected.config)?;
        Ok(self)
    }
}

/// Phase 2 of the pre-commit: the sector's commitments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreCommit2Output {
    /// The commitment to the replica.
    pub comm_r: Node,
    /// The commitment to the data.
    pub comm_d: Node,
}

#[derive(Serialize, Deserialize)]
struct Pc2<R> {
    registered_proof: R,
    comm_r: Node,
    comm_d: Node,
}

impl PreCommit2Output {
    /// Writes the library form.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_json(&self, sink: impl Write) -> Result<(), CodecError> {
        write_json(self, sink)
    }

    /// Writes the API form.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_api_json(&self, proof: &SealProof, sink: impl Write) -> Result<(), CodecError> {
        write_json(&Pc2 { registered_proof: Registered(proof), comm_r: self.comm_r, comm_d: self.comm_d }, sink)
    }

    /// Reads the library form.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, CodecError> {
        from_json::<Self>(bytes)?.checked()
    }

    /// Reads the API form.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_api_json(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError> {
        let form = from_json::<Pc2<String>>(bytes)?;
        let proof = SealProof::by_name(profile, &form.registered_proof)?;
        Ok((proof, Self { comm_r: form.comm_r, comm_d: form.comm_d }.checked()?))
    }

    fn checked(self) -> Result<Self, CodecError> {
        canonical("comm_r", &self.comm_r)?;
        canonical("comm_d", &self.comm_d)?;
        Ok(self)
    }
}

/// Phase 1 of the commit: the vanilla proofs and what they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit1Output {
    /// The proofs of each partition's challenges.
    pub vanilla_proofs: Vec<Vec<Proof>>,
    /// The commitment to the replica.
    pub comm_r: Node,
    /// The commitment to the data.
    pub comm_d: Node,
    /// The replica.
    pub replica_id: Node,
    /// Where the challenges came from.
    pub seed: [u8; 32],
    /// What entered the replica id.
    pub ticket: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct C1<R, P, N> {
    registered_proof: R,
    vanilla_proofs: P,
    comm_r: Node,
    comm_d: Node,
    replica_id: N,
    seed: [u8; 32],
    ticket: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct C1Library<P, N> {
    vanilla_proofs: P,
    comm_r: Node,
    comm_d: Node,
    replica_id: N,
    seed: [u8; 32],
    ticket: [u8; 32],
}

type ProofsOf<N> = Vec<Vec<Proof<N>>>;
type C1Json<N> = C1<String, Tagged<ProofsOf<N>>, N>;
type C1LibraryJson<N> = C1Library<ProofsOf<N>, N>;

impl<N: Form> From<C1LibraryJson<N>> for Commit1Output {
    fn from(form: C1LibraryJson<N>) -> Self {
        let plain = |proofs: Vec<Proof<N>>| proofs.into_iter().map(|proof| proof.map(N::node)).collect();
        Self {
            vanilla_proofs: form.vanilla_proofs.into_iter().map(plain).collect(),
            comm_r: form.comm_r,
            comm_d: form.comm_d,
            replica_id: form.replica_id.node(),
            seed: form.seed,
            ticket: form.ticket,
        }
    }
}

impl Commit1Output {
    fn library(&self, profile: Profile) -> C1Library<Partitions<'_>, Element<'_>> {
        C1Library {
            vanilla_proofs: Partitions { profile, proofs: &self.vanilla_proofs },
            comm_r: self.comm_r,
            comm_d: self.comm_d,
            replica_id: Element { profile, node: &self.replica_id },
            seed: self.seed,
            ticket: self.ticket,
        }
    }

    fn api<'a>(&'a self, proof: &'a SealProof) -> C1<Registered<'a>, BySize<'a, Partitions<'a>>, Element<'a>> {
        let C1Library { vanilla_proofs, comm_r, comm_d, replica_id, seed, ticket } = self.library(proof.profile);
        let vanilla_proofs = BySize { proof, value: vanilla_proofs };
        C1 { registered_proof: Registered(proof), vanilla_proofs, comm_r, comm_d, replica_id, seed, ticket }
    }

    /// Writes the library form, one proof after the other.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_json(&self, profile: Profile, sink: impl Write) -> Result<(), CodecError> {
        write_json(&self.library(profile), sink)
    }

    /// Writes the API form, one proof after the other.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_api_json(&self, proof: &SealProof, sink: impl Write) -> Result<(), CodecError> {
        write_json(&self.api(proof), sink)
    }

    /// Writes the library form in bincode, the same on both networks.
    ///
    /// # Errors
    /// [`CodecError::Bincode`], [`CodecError::Write`].
    pub fn write_bincode(&self, sink: impl Write) -> Result<(), CodecError> {
        write_bincode(&self.library(Profile::Filecoin), sink)
    }

    /// Writes the API form in bincode.
    ///
    /// # Errors
    /// [`CodecError::Bincode`], [`CodecError::Write`].
    pub fn write_api_bincode(&self, proof: &SealProof, sink: impl Write) -> Result<(), CodecError> {
        write_bincode(&self.api(proof), sink)
    }

    /// Reads the library form of a sector of this configuration.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_json(config: &PoRepConfig, bytes: &[u8]) -> Result<Self, CodecError> {
        let output: Self = match config.profile {
            Profile::Filecoin => {
                from_json_of::<C1LibraryJson<Node>, C1LibraryJson<Limbs>>(config.profile, bytes)?.into()
            }
            Profile::Filecash => {
                from_json_of::<C1LibraryJson<Limbs>, C1LibraryJson<Node>>(config.profile, bytes)?.into()
            }
        };
        output.checked(config)
    }

    /// Reads the API form.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_api_json(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError> {
        match profile {
            Profile::Filecoin => Self::from_api(profile, from_json_of::<C1Json<Node>, C1Json<Limbs>>(profile, bytes)?),
            Profile::Filecash => Self::from_api(profile, from_json_of::<C1Json<Limbs>, C1Json<Node>>(profile, bytes)?),
        }
    }

    fn from_api<N: Form>(profile: Profile, form: C1Json<N>) -> Result<(SealProof, Self), CodecError> {
        let proof = SealProof::by_name(profile, &form.registered_proof)?;
        let C1 { vanilla_proofs, comm_r, comm_d, replica_id, seed, ticket, .. } = form;
        let vanilla_proofs = vanilla_proofs.of(&proof)?;
        let output = Self::from(C1Library { vanilla_proofs, comm_r, comm_d, replica_id, seed, ticket });
        Ok((proof, output.checked(&proof.config())?))
    }

    /// Bytes of the library form in bincode.
    ///
    /// # Errors
    /// [`CodecError::Challenges`] for a way of drawing challenges that is not supported.
    pub fn bincode_bytes(config: &PoRepConfig) -> Result<u64, CodecError> {
        let (partitions, challenges) = layout(config)?;
        let partition = 8 + challenges as u64 * ProofShape::from(config).proof_bytes();
        Ok(8 + partitions as u64 * partition + 5 * 32)
    }

    /// Reads the library form in bincode of a sector of this configuration.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_bincode(config: &PoRepConfig, bytes: &[u8]) -> Result<Self, CodecError> {
        let form: C1LibraryJson<Node> = from_bincode(bytes, Self::bincode_bytes(config)?)?;
        Self::from(form).checked(config)
    }

    /// Reads the API form in bincode.
    ///
    /// # Errors
    /// [`CodecError`].
    pub fn from_api_bincode(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError> {
        let Some((head, rest)) = bytes.split_first_chunk::<8>() else {
            return Err(CodecError::Length { expected: 8, actual: bytes.len() as u64 });
        };
        let [id, size] = [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let proof = SealProof::by_id(profile, id)?;
        if size != size_number(&proof) {
            let actual = format!("size {size} of {profile}");
            return Err(CodecError::Tag { registered: proof.name, expected: proof.size_name, actual });
        }
        Ok((proof, Self::from_bincode(&proof.config(), rest)?))
    }

    /// Checks counts and forms, and that every node is canonical; no hash.
    fn checked(self, config: &PoRepConfig) -> Result<Self, CodecError> {
        let (partitions, challenges) = layout(config)?;
        count("partitions", partitions, self.vanilla_proofs.len())?;
        canonical("comm_r", &self.comm_r)?;
        canonical("comm_d", &self.comm_d)?;
        canonical("replica_id", &self.replica_id)?;
        let shape = ProofShape::from(config);
        for (partition, proofs) in self.vanilla_proofs.iter().enumerate() {
            count("proofs in a partition", challenges, proofs.len())?;
            proofs.par_iter().enumerate().try_for_each(|(challenge, proof)| {
                shape.check(proof).map_err(|source| CodecError::Proof { partition, challenge, source })
            })?;
        }
        Ok(self)
    }
}

fn count(what: &'static str, expected: usize, actual: usize) -> Result<(), CodecError> {
    if expected == actual { Ok(()) } else { Err(CodecError::Count { what, expected, actual }) }
}

fn canonical(what: &'static str, node: &Node) -> Result<(), CodecError> {
    fr::from_node(node).map(drop).map_err(|source| CodecError::NonCanonical { what, source })
}

#[cfg(test)]
mod tests;
