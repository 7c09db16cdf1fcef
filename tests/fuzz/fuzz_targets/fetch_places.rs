//! See `filecash_fuzz::fetch_places`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(fetch_places);
