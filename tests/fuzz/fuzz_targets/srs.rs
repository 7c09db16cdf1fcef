//! See `filecash_fuzz::srs`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(srs);
