//! Files of a sector: names, auxiliary records, manifests, atomic writing.
