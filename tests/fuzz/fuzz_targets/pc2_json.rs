//! See `filecash_fuzz::pc2_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(pc2_json);
