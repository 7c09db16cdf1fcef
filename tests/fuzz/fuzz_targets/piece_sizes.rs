//! See `filecash_fuzz::piece_sizes`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(piece_sizes);
