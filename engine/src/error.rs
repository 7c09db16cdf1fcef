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
    ParentTable(#[from] crate::graph::ParentTableError),
    #[error(transparent)]
    Labels(#[from] crate::porep::layers::LabelError),
    #[error(transparent)]
    Unseal(#[from] crate::porep::unseal::UnsealError),
    #[error(transparent)]
    UnknownProof(#[from] crate::sector::UnknownProof),
    #[error(transparent)]
    UnsupportedSectorSize(#[from] crate::sector::UnsupportedSectorSize),
}
