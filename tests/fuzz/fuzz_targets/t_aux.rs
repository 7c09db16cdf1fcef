//! See `filecash_fuzz::t_aux`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(t_aux);
