//! See `filecash_fuzz::fr32_unpad`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(fr32_unpad);
