//! See `filecash_fuzz::fr32_pad`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(fr32_pad);
