//! See `filecash_fuzz::field_element`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(field_element);
