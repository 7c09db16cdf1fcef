//! See `filecash_fuzz::pieces_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(pieces_json);
