//! See `filecash_fuzz::proof_bytes`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(proof_bytes);
