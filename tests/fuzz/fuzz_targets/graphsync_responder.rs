//! See `filecash_fuzz::graphsync_responder`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(graphsync_responder);
