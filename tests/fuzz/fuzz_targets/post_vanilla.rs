//! See `filecash_fuzz::post_vanilla`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(post_vanilla);
