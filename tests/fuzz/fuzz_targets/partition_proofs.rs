//! See `filecash_fuzz::partition_proofs`.
#![cfg_attr(fuzzing, no_main)]

filecash_fuzz::fuzz!(partition_proofs);
