//! See `filecash_fuzz::rpc`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(rpc);
