//! See `filecash_fuzz::synthetic_record`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(synthetic_record);
