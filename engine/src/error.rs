//! Every error of the engine under one type.

/// What can go wrong anywhere in the engine; each component has an enum of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Error {
    #[error(transparent)]
    Cancelled(#[from] crate::job::Cancelled),
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
    #[error(transparent)]
    Piece(#[from] crate::sector::piece::PieceError),
    #[error(transparent)]
    Cid(#[from] crate::sector::cid::CidError),
    #[error(transparent)]
    Aux(#[from] crate::store::aux::AuxError),
    #[error(transparent)]
    CacheFile(#[from] crate::store::files::FileError),
    #[error(transparent)]
    Write(#[from] crate::store::atomic::WriteError),
    #[error(transparent)]
    UnknownProof(#[from] crate::sector::UnknownProof),
    #[error(transparent)]
    UnsupportedSectorSize(#[from] crate::sector::UnsupportedSectorSize),
    #[error(transparent)]
    Key(#[from] crate::groth16::KeyError),
    #[error(transparent)]
    Proof(#[from] crate::groth16::ProofError),
    #[error(transparent)]
    Prove(#[from] crate::groth16::ProveError),
    #[error(transparent)]
    Setup(#[from] crate::groth16::SetupError),
    #[error(transparent)]
    Verify(#[from] crate::groth16::VerifyError),
    #[error(transparent)]
    Params(#[from] crate::params::ParamError),
    #[error(transparent)]
    UnknownCircuit(#[from] crate::params::UnknownCircuit),
    #[error(transparent)]
    Build(#[from] crate::merkle::build::BuildError),
    #[error(transparent)]
    TreeFile(#[from] crate::merkle::tree_file::TreeFileError),
    #[error(transparent)]
    Labels(#[from] crate::porep::layers::LabelError),
    #[error(transparent)]
    PreCommit2(#[from] crate::porep::commit::CommitError),
    #[error(transparent)]
    Commit1(#[from] crate::porep::commit1::Commit1Error),
    #[error(transparent)]
    Codec(#[from] crate::porep::codec::CodecError),
    #[error(transparent)]
    Challenges(#[from] crate::porep::challenges::ChallengeError),
    #[error(transparent)]
    Unseal(#[from] crate::porep::unseal::UnsealError),
    #[error(transparent)]
    Seal(#[from] crate::api::seal::SealError),
    #[error(transparent)]
    Commit2(#[from] crate::api::prove::CommitError),
    #[error(transparent)]
    Commitment(#[from] crate::api::verify::CommitmentError),
    #[error(transparent)]
    Range(#[from] crate::api::unseal::RangeError),
}

impl Error {
    /// Whether the error says that a proof is wrong, rather than that a check could not be made.
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Verify(error) => matches!(error, crate::groth16::VerifyError::Unsatisfied { .. }),
            Self::Proof(_) => true,
            _ => false,
        }
    }
}
