//! The public operations: parse, check, call, one span each.
