//! Every error of the engine under one type.

use crate::api::post::PoStError;
use crate::groth16::{AggregateError, VerifyError};
use crate::update::PartitionError;

macro_rules! errors {
    ($($variant:ident($error:path),)*) => {
        /// What can go wrong anywhere in the engine; each component has an enum of its own.
        #[derive(Debug, thiserror::Error)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "the messages are the docs")]
        pub enum Error {
            $(#[error(transparent)] $variant(#[from] $error),)*
        }
    };
}

errors! {
    Aggregate(AggregateError),
    Aggregation(crate::api::aggregate::AggregationError),
    Aux(crate::store::aux::AuxError),
    Build(crate::merkle::build::BuildError),
    CacheFile(crate::store::files::FileError),
    Cancelled(crate::job::Cancelled),
    Challenges(crate::porep::challenges::ChallengeError),
    Cid(crate::sector::cid::CidError),
    Codec(crate::porep::codec::CodecError),
    Commit1(crate::porep::commit1::Commit1Error),
    Commit2(crate::api::prove::CommitError),
    Commitment(crate::api::verify::CommitmentError),
    Key(crate::groth16::KeyError),
    Labels(crate::porep::layers::LabelError),
    NonCanonical(crate::field::NonCanonical),
    NoUpdates(crate::update::NoUpdates),
    Params(crate::params::ParamError),
    ParentTable(crate::graph::ParentTableError),
    PartitionProof(PartitionError),
    Piece(crate::sector::piece::PieceError),
    PoSt(PoStError),
    PoStRound(crate::post::RoundError),
    PoStVanilla(crate::post::VanillaCodecError),
    PreCommit2(crate::porep::commit::CommitError),
    Proof(crate::groth16::ProofError),
    Prove(crate::groth16::ProveError),
    Range(crate::api::unseal::RangeError),
    RejectedSeals(crate::api::batch::RejectedSeals),
    Seal(crate::api::seal::SealError),
    SealList(crate::api::seal_list::SealListError),
    Setup(crate::groth16::SetupError),
    Snark(crate::api::snark::SnarkError),
    Srs(crate::groth16::SrsError),
    Staging(crate::api::staging::StagingError),
    TreeFile(crate::merkle::tree_file::TreeFileError),
    UnknownCircuit(crate::params::UnknownCircuit),
    UnknownPoSt(crate::sector::UnknownPoSt),
    UnknownProof(crate::sector::UnknownProof),
    Unseal(crate::porep::unseal::UnsealError),
    UnsupportedSectorSize(crate::sector::UnsupportedSectorSize),
    Update(crate::update::UpdateError),
    UpdateProve(crate::api::update::UpdateProveError),
    Vanilla(crate::porep::verify::VanillaError),
    Verify(VerifyError),
    Write(crate::store::atomic::WriteError),
}

impl Error {
    /// Whether the error says that a proof is wrong or a sector faulty, rather than that a check could not be made.
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Verify(error) => matches!(error, VerifyError::Unsatisfied { .. }),
            Self::Aggregate(error) => matches!(
                error,
                AggregateError::Unsatisfied | AggregateError::Format(_) | AggregateError::Statements { .. }
            ),
            Self::Proof(_) | Self::RejectedSeals(_) => true,
            Self::PoSt(error) => matches!(error, PoStError::Faulty { .. }),
            Self::PartitionProof(error) => !matches!(error, PartitionError::Cancelled(_)),
            _ => false,
        }
    }
}
