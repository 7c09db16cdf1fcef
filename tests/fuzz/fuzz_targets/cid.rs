//! See `filecash_fuzz::cid`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(cid);
