//! Gadgets against the reference's digests, against bellman's gadgets, and against the plain functions they express.

mod bellman_twins;
mod units;
mod values;
