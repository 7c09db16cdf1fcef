//! See `filecash_fuzz::p_aux`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(p_aux);
