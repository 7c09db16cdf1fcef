//! The reference, one phase per command. See `filecash_peer::args`.

use std::process::ExitCode;

fn main() -> ExitCode {
    filecash_peer::args::main()
}
