//! See `filecash_fuzz::seal_list_json`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(seal_list_json);
