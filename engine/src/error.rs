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
    Commit1(#[from] crate::porep::commit1::Commit1Error),
    #[error(transparent)]
    Codec(#[from] crate::porep::codec::CodecError),
    #[error(transparent)]
    Vanilla(#[from] crate::porep::verify::VanillaError),
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
}
