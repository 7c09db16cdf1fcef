//! See `filecash_fuzz::c1_bincode`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(c1_bincode);
