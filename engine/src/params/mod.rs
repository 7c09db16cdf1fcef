//! Parameter files: published names and digests, and where they are kept.
