//! See `filecash_fuzz::car`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(car);
