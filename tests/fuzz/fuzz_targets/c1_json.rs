//! See `filecash_fuzz::c1_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(c1_json);
