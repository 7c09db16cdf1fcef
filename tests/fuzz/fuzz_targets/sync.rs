//! See `filecash_fuzz::sync`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(sync);
