//! See `filecash_fuzz::dag`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(dag);
