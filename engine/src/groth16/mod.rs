//! Groth16 over BLS12-381: keys, set-up, prover, verifier.
