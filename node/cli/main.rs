//! The `filecash` command line.

fn main() {}
