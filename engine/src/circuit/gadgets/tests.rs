//! Units of `spec/snark.md` 7.1 and 7.2, and comparisons with bellman's gadgets.

mod units;
