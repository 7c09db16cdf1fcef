//! See `filecash_fuzz::bitswap_engine`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(bitswap_engine);
