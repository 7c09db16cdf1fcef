//! See `filecash_fuzz::parent_table`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(parent_table);
