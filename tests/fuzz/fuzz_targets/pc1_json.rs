//! See `filecash_fuzz::pc1_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(pc1_json);
