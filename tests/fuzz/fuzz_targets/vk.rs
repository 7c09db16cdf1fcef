//! See `filecash_fuzz::vk`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(vk);
