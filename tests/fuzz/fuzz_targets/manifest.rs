//! See `filecash_fuzz::manifest`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(manifest);
