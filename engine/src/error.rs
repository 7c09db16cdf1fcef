//! Every error of the engine under one type.

/// What can go wrong anywhere in the engine; each component has an enum of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum Error {
    #[error(transparent)]
    Cancelled(#[from] crate::job::Cancelled),
    #[error(transparent)]
    Build(#[from] crate::merkle::build::BuildError),
    #[error(transparent)]
    Commit(#[from] crate::porep::commit::CommitError),
    #[error(transparent)]
    NonCanonical(#[from] crate::field::NonCanonical),
    #[error(transparent)]
    TreeFile(#[from] crate::merkle::tree_file::TreeFileError),
    #[error(transparent)]
    UnknownProof(#[from] crate::sector::UnknownProof),
    #[error(transparent)]
    UnsupportedSectorSize(#[from] crate::sector::UnsupportedSectorSize),
}
