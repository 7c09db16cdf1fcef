//! The peer's command line again, since a test gets only the programs of its own package built and located.

use std::process::ExitCode;

fn main() -> ExitCode {
    filecash_peer::args::main()
}
