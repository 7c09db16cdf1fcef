//! Phase 1 of the commit: from a sealed sector's files and a seed to its vanilla proofs.
//!
//! A synthetic PoRep has a step more before: [`Commit1::generate`] proves every challenge of its set into a file, out of
//! which phase 1 then takes those that the seed selects, without layers, TreeD and TreeC ([`crate::porep::synthetic`]).
//!
//! The arguments say what the sector should be; the replica id is derived from them and never read from disk. Roots of the
//! trees on disk are compared with the commitments before anything is opened, and every proof is checked before any is
//! handed out, so that a damaged file gives an error here and not an invalid SNARK later.
//!
//! Source: `spec/replication.md` 8.4, 8.6, 8.7.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use crate::field::{Node, NonCanonical};
use crate::graph::Graph;
use crate::hash::poseidon::hash2;
use crate::job::{Cancelled, Job, Unit};
use crate::merkle::build::NodeHash;
use crate::merkle::mapped_tree::MappedTreeError;
use crate::merkle::node_file::{NodeFile, NodeFileError};
use crate::merkle::tree_file::{TreeFile, TreeFileError};
use crate::porep::challenges::{ChallengeError, Challenges, SyntheticSet, layout};
use crate::porep::outputs::Commit1Output;
use crate::porep::proof::{Proof, ProofShape};
use crate::porep::synthetic::generate::Generator;
use crate::porep::synthetic::record::{RecordError, Roots};
use crate::porep::synthetic::{SyntheticError, SyntheticFile};
use crate::porep::vanilla::{Labels, OpenError, Opener, SourceError};
use crate::porep::verify::{Statement, VanillaError};
use crate::sector::geometry::Geometry;
use crate::sector::params::DEGREE;
use crate::sector::piece::{PaddedLen, PieceError, PieceInfo, verify_pieces};
use crate::sector::{Feature, PoRepConfig, ProverId, ReplicaId, SectorId, Ticket, replica_id};
use crate::store::atomic::WriteError;
use crate::store::aux::{AuxError, PAux, TAux};
use crate::store::files;
use crate::store::mapped::{Access, Mapped};

/// The sector to be proven and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Commit1<'a> {
    /// Its network, size, graph and challenges.
    pub config: &'a PoRepConfig,
    /// The folder of its layers and trees.
    pub cache: &'a Path,
    /// The replica.
    pub replica: &'a Path,
    /// Its miner.
    pub prover_id: &'a ProverId,
    /// Its number.
    pub sector_id: SectorId,
    /// What entered the replica id.
    pub ticket: &'a Ticket,
    /// The commitment to the replica.
    pub comm_r: &'a Node,
    /// The commitment to the data.
    pub comm_d: &'a Node,
    /// Its pieces, in order, until it is full.
    pub pieces: &'a [PieceInfo],
}

/// Why a sector's vanilla proofs could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Commit1Error {
    #[error("{0} is all zero")]
    ZeroCommitment(&'static str),
    #[error("the seed is all zero")]
    ZeroSeed,
    #[error(transparent)]
    Pieces(#[from] PieceError),
    #[error(transparent)]
    Challenges(#[from] ChallengeError),
    #[error(transparent)]
    Aux(#[from] AuxError),
    #[error("commitments of the sector")]
    NonCanonical(#[from] NonCanonical),
    #[error(transparent)]
    Tree(#[from] TreeFileError),
    #[error(transparent)]
    Layer(#[from] NodeFileError),
    #[error("{what} on disk is {}, expected {}", hex::encode(.actual), hex::encode(.expected))]
    Root { what: &'static str, expected: Node, actual: Node },
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Mapped(MappedTreeError),
    #[error(transparent)]
    Synthetic(Box<SyntheticError>),
    #[error("a synthetic proof just made cannot be read back")]
    OwnRecord(#[source] RecordError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "a vanilla proof does not hold; the sector's files are damaged, or of another prover, sector number, ticket or network"
    )]
    Invalid(#[source] VanillaError),
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<OpenError> for Commit1Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Open(error),
        }
    }
}

impl From<MappedTreeError> for Commit1Error {
    fn from(error: MappedTreeError) -> Self {
        match error {
            MappedTreeError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Mapped(error),
        }
    }
}

impl From<SyntheticError> for Commit1Error {
    fn from(error: SyntheticError) -> Self {
        match error {
            SyntheticError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Synthetic(Box::new(error)),
        }
    }
}

impl From<VanillaError> for Commit1Error {
    fn from(error: VanillaError) -> Self {
        match error {
            VanillaError::Cancelled(cancelled) => Self::Cancelled(cancelled),
            error => Self::Invalid(error),
        }
    }
}

/// The layers of a cache folder.
struct LayerFiles(Vec<NodeFile>);

impl LayerFiles {
    fn open(cache: &Path, layers: usize, nodes: u64) -> Result<Self, NodeFileError> {
        let open = |layer| NodeFile::open(&files::layer(cache, layer), nodes);
        Ok(Self((1..=layers).map(open).collect::<Result<_, _>>()?))
    }
}

impl LayerFiles {
    /// Maps the layers into memory, for more labels than are worth a read each.
    fn map(&self) -> Result<Vec<Mapped>, NodeFileError> {
        self.0.iter().map(|layer| layer.map(Access::Random)).collect()
    }
}

impl Labels for LayerFiles {
    fn label(&self, layer: usize, node: u64) -> Result<Node, SourceError> {
        Ok(self.0[layer - 1].node(node)?)
    }
}

/// A sector's trees and layers, whose roots are those of its commitments.
struct Opened {
    tree_d: TreeFile,
    tree_c: TreeFile,
    tree_r_last: TreeFile,
    labels: LayerFiles,
}

impl Commit1<'_> {
    /// Opens the seed's challenges and checks the proofs.
    ///
    /// Needs the layers, TreeD, TreeC, TreeR-last and `p_aux` in the cache folder, and the replica; for a synthetic PoRep
    /// only `p_aux` and the file of synthetic proofs. `t_aux` is checked if it is there. A non-interactive PoRep takes
    /// nothing from the seed, but carries it on.
    ///
    /// # Errors
    /// [`Commit1Error`].
    pub fn run(&self, job: &Job<'_>, seed: &[u8; 32]) -> Result<Commit1Output, Commit1Error> {
        if *seed == [0; 32] {
            return Err(Commit1Error::ZeroSeed);
        }
        let (replica_id, aux) = self.check()?;
        let graph = Graph::new(self.config);
        let parents = |node| graph.parents(node);
        let statement = self.statement(&replica_id, &parents);
        let vanilla_proofs = match self.config.feature {
            Feature::Synthetic => self.selected(job, &statement, &aux, seed)?,
            Feature::Interactive | Feature::NonInteractive => {
                let (config, comm_r) = (self.config, self.comm_r);
                let challenges = Challenges { config, replica_id: &replica_id, comm_r, seed }.all()?;
                let Opened { tree_d, tree_c, tree_r_last, labels } = &self.open(&aux)?;
                let opener = Opener { shape: statement.shape, tree_d, tree_c, tree_r_last, labels, parents: &parents };
                let vanilla_proofs = opener.open_all(job, &challenges)?;
                statement.verify(job, &challenges, &vanilla_proofs)?;
                vanilla_proofs
            }
        };
        Ok(Commit1Output {
            vanilla_proofs,
            comm_r: *self.comm_r,
            comm_d: *self.comm_d,
            replica_id,
            seed: *seed,
            ticket: *self.ticket,
        })
    }

    /// Writes the file of synthetic proofs into the cache folder, in place of an older one, and checks them.
    ///
    /// Needs what phase 1 of an interactive PoRep needs.
    ///
    /// # Errors
    /// [`Commit1Error`]; the folder is as it was then.
    pub fn generate(&self, job: &Job<'_>) -> Result<(), Commit1Error> {
        layout(self.config)?;
        if self.config.feature != Feature::Synthetic {
            return Err(SyntheticError::Feature(self.config.feature).into());
        }
        let (replica_id, aux) = self.check()?;
        let params = self.config.params;
        for file in files::CacheFiles::new(params, 0).for_synthetic() {
            let path = self.cache.join(file.name);
            if !path.exists() {
                return Err(SyntheticError::Cleared { path }.into());
            }
        }
        let Opened { tree_d, tree_c, tree_r_last, labels } = self.open(&aux)?;
        let graph = Graph::new(self.config);
        let parents = |node| graph.parents(node);
        let generator = Generator {
            statement: self.statement(&replica_id, &parents),
            roots: self.roots(&aux),
            tree_d: tree_d.map(NodeHash::Sha256)?,
            tree_c: tree_c.map(NodeHash::Poseidon)?,
            tree_r_last: tree_r_last.map(NodeHash::Poseidon)?,
            layers: labels.map()?,
        };
        let set = SyntheticSet::new(&replica_id, self.comm_r, params.nodes());
        generator.write(job, &set, &self.cache.join(files::SYNTHETIC_PROOFS))
    }

    /// Checks the arguments against each other and against the small files.
    fn check(&self) -> Result<(ReplicaId, PAux), Commit1Error> {
        let params = self.config.params;
        for (what, commitment) in [("comm_d", self.comm_d), ("comm_r", self.comm_r)] {
            if *commitment == [0; 32] {
                return Err(Commit1Error::ZeroCommitment(what));
            }
        }
        let size = PaddedLen::new(params.size_bytes).map_err(PieceError::Size)?;
        verify_pieces(self.comm_d, size, self.pieces)?;
        let aux = PAux::read(self.cache)?;
        match TAux::read(self.cache, params) {
            Ok(_) => {}
            // The lengths of the files say the same.
            Err(AuxError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        root("comm_r", self.comm_r, &hash2(&aux.comm_c, &aux.comm_r_last)?)?;
        let replica_id = replica_id(self.prover_id, self.sector_id, self.ticket, self.comm_d, &self.config.porep_id);
        Ok((replica_id, aux))
    }

    fn statement<'b>(
        &'b self,
        replica_id: &'b ReplicaId,
        parents: &'b (dyn Fn(u32) -> [u32; DEGREE] + Sync),
    ) -> Statement<'b> {
        let shape = ProofShape::from(self.config);
        Statement { shape, replica_id, comm_d: self.comm_d, comm_r: self.comm_r, parents }
    }

    fn roots(&self, aux: &PAux) -> Roots {
        Roots { tree_d: *self.comm_d, tree_c: aux.comm_c, tree_r_last: aux.comm_r_last }
    }

    /// Opens layers and trees, whose roots have to be the sector's.
    fn open(&self, aux: &PAux) -> Result<Opened, Commit1Error> {
        let params = self.config.params;
        let geometry = Geometry::of(params);
        let tree_d = TreeFile::open_tree_d(self.cache, geometry)?;
        root("comm_d", self.comm_d, &tree_d.root())?;
        let tree_c = TreeFile::open_tree_c(self.cache, geometry)?;
        root("comm_c", &aux.comm_c, &tree_c.root())?;
        let tree_r_last = TreeFile::open_tree_r_last(self.cache, self.replica, geometry)?;
        root("comm_r_last", &aux.comm_r_last, &tree_r_last.root())?;
        let labels = LayerFiles::open(self.cache, params.layers, params.nodes())?;
        Ok(Opened { tree_d, tree_c, tree_r_last, labels })
    }

    /// The plain proofs of any nodes, not verified.
    #[cfg(test)]
    pub(crate) fn open_nodes(&self, nodes: &[u64]) -> Vec<Proof> {
        let (_, aux) = self.check().unwrap();
        let Opened { tree_d, tree_c, tree_r_last, labels } = &self.open(&aux).unwrap();
        let graph = Graph::new(self.config);
        let parents = |node| graph.parents(node);
        let shape = ProofShape::from(self.config);
        let opener = Opener { shape, tree_d, tree_c, tree_r_last, labels, parents: &parents };
        nodes.iter().map(|&node| opener.open(node).unwrap()).collect()
    }

    /// The proofs of the seed's challenges out of the file of synthetic proofs, all checked.
    fn selected(
        &self,
        job: &Job<'_>,
        statement: &Statement<'_>,
        aux: &PAux,
        seed: &[u8; 32],
    ) -> Result<Vec<Vec<Proof>>, Commit1Error> {
        let (partitions, challenges) = layout(self.config)?;
        let set = SyntheticSet::new(statement.replica_id, self.comm_r, self.config.params.nodes());
        let selected = set.selected(statement.replica_id, seed, 0..(partitions * challenges) as u32);
        let file = SyntheticFile::open(self.cache, statement.shape, set.len())?;
        file.expect_roots(&self.roots(aux))?;
        let stage = job.stage("read synthetic proofs", Unit::Items, selected.len() as u64);
        let proof = |&record: &u64| {
            let challenge = set.member(record);
            let verify = |proof: &_| statement.verify_challenge(challenge, &aux.comm_c, &aux.comm_r_last, proof);
            let proof = file.proof(record, challenge, verify)?;
            stage.advance(1)?;
            Ok::<_, SyntheticError>(proof)
        };
        let partition = |records: &[u64]| records.par_iter().map(proof).collect::<Result<Vec<_>, _>>();
        Ok(selected.chunks(challenges).map(partition).collect::<Result<_, _>>()?)
    }
}

fn root(what: &'static str, expected: &Node, actual: &Node) -> Result<(), Commit1Error> {
    if expected == actual {
        return Ok(());
    }
    Err(Commit1Error::Root { what, expected: *expected, actual: *actual })
}

#[cfg(test)]
pub(crate) mod tests;
