//! See `filecash_fuzz::settings`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(settings);
