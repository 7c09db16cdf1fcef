//! See `filecash_fuzz::chain_wire`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(chain_wire);
