//! See `filecash_fuzz::data_transfer`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(data_transfer);
