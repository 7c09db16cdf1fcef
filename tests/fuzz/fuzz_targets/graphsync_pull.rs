//! See `filecash_fuzz::graphsync_pull`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(graphsync_pull);
