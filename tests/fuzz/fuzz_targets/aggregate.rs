//! See `filecash_fuzz::aggregate`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(aggregate);
