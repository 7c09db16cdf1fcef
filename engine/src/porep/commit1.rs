//! Phase 1 of the commit: from a sealed sector's files and a seed to its vanilla proofs.
//!
//! The arguments say what the sector should be; the replica id is derived from them and never read from disk. Roots of the
//! trees on disk are compared with the commitments before anything is opened, and every proof is checked before any is
//! handed out, so that a damaged file gives an error here and not an invalid SNARK later.
//!
//! Source: `spec/replication.md` 8.4.

use std::io;
use std::path::Path;

use crate::field::{Node, NonCanonical};
use crate::graph::Graph;
use crate::hash::poseidon::hash2;
use crate::job::{Cancelled, Job};
use crate::merkle::node_file::{NodeFile, NodeFileError};
use crate::merkle::tree_file::{TreeFile, TreeFileError};
use crate::porep::challenges::{ChallengeError, Challenges};
use crate::porep::outputs::Commit1Output;
use crate::porep::proof::ProofShape;
use crate::porep::vanilla::{Labels, OpenError, Opener, SourceError};
use crate::porep::verify::{Statement, VanillaError};
use crate::sector::geometry::Geometry;
use crate::sector::piece::{PaddedLen, PieceError, PieceInfo, verify_pieces};
use crate::sector::{PoRepConfig, ProverId, SectorId, Ticket, replica_id};
use crate::store::aux::{AuxError, PAux, TAux};
use crate::store::files;

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
    /// Where the challenges come from.
    pub seed: &'a [u8; 32],
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

impl Labels for LayerFiles {
    fn label(&self, layer: usize, node: u64) -> Result<Node, SourceError> {
        Ok(self.0[layer - 1].node(node)?)
    }
}

impl Commit1<'_> {
    /// Opens the seed's challenges and checks the proofs.
    ///
    /// Needs the layers, TreeD, TreeC, TreeR-last and `p_aux` in the cache folder, and the replica; `t_aux` is checked if
    /// it is there.
    ///
    /// # Errors
    /// [`Commit1Error`].
    pub fn run(&self, job: &Job<'_>) -> Result<Commit1Output, Commit1Error> {
        let params = self.config.params;
        for (what, commitment) in [("comm_d", self.comm_d), ("comm_r", self.comm_r)] {
            if *commitment == [0; 32] {
                return Err(Commit1Error::ZeroCommitment(what));
            }
        }
        let size = PaddedLen::new(params.size_bytes).map_err(PieceError::Size)?;
        verify_pieces(self.comm_d, size, self.pieces)?;
        let replica_id = replica_id(self.prover_id, self.sector_id, self.ticket, self.comm_d, &self.config.porep_id);
        let challenges =
            Challenges { config: self.config, replica_id: &replica_id, comm_r: self.comm_r, seed: self.seed }.all()?;

        let PAux { comm_c, comm_r_last } = PAux::read(self.cache)?;
        match TAux::read(self.cache, params) {
            Ok(_) => {}
            // The lengths of the files say the same.
            Err(AuxError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        root("comm_r", self.comm_r, &hash2(&comm_c, &comm_r_last)?)?;
        let geometry = Geometry::of(params);
        let tree_d = TreeFile::open_tree_d(self.cache, geometry)?;
        root("comm_d", self.comm_d, &tree_d.root())?;
        let tree_c = TreeFile::open_tree_c(self.cache, geometry)?;
        root("comm_c", &comm_c, &tree_c.root())?;
        let tree_r_last = TreeFile::open_tree_r_last(self.cache, self.replica, geometry)?;
        root("comm_r_last", &comm_r_last, &tree_r_last.root())?;
        let labels = LayerFiles::open(self.cache, params.layers, params.nodes())?;

        let graph = Graph::new(self.config);
        let parents = |node| graph.parents(node);
        let shape = ProofShape::from(self.config);
        let opener = Opener {
            shape,
            tree_d: &tree_d,
            tree_c: &tree_c,
            tree_r_last: &tree_r_last,
            labels: &labels,
            parents: &parents,
        };
        let vanilla_proofs = opener.open_all(job, &challenges)?;
        let (comm_r, comm_d) = (self.comm_r, self.comm_d);
        let statement = Statement { shape, replica_id: &replica_id, comm_d, comm_r, parents: &parents };
        statement.verify(job, &challenges, &vanilla_proofs)?;
        Ok(Commit1Output {
            vanilla_proofs,
            comm_r: *comm_r,
            comm_d: *comm_d,
            replica_id,
            seed: *self.seed,
            ticket: *self.ticket,
        })
    }
}

fn root(what: &'static str, expected: &Node, actual: &Node) -> Result<(), Commit1Error> {
    if expected == actual {
        return Ok(());
    }
    Err(Commit1Error::Root { what, expected: *expected, actual: *actual })
}

#[cfg(test)]
mod tests;
