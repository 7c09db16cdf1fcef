//! See `filecash_fuzz::bitswap_session`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(bitswap_session);
