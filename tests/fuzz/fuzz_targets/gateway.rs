//! See `filecash_fuzz::gateway`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(gateway);
