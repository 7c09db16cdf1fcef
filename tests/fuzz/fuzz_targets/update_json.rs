//! See `filecash_fuzz::update_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(update_json);
