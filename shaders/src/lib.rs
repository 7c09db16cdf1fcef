//! WGSL compute shaders of the storage-proof engine.
//!
//! Empty for now: the CPU backend computes every stage. The shaders arrive with the GPU backend, one file per
//! dispatch, each with a CPU twin that gives the same bytes.
