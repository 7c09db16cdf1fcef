//! Pieces: sizes, commitments, placing.
