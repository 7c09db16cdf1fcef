//! See `filecash_fuzz::params_header`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(params_header);
