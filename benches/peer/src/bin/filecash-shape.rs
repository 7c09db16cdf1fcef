//! Makes and evaluates a PoRep's circuit, and prints what that takes as a line of JSON. See `filecash_peer::shape`.

use anyhow::Result;
use clap::Parser;
use filecash_engine::sector::Profile;

/// Makes and evaluates the circuit of one partition of a proof of replication, with random values.
#[derive(Debug, Parser)]
struct Cli {
    /// Whose sectors: filecoin or filecash.
    profile: Profile,
    /// Bytes of a sector.
    sector_size: u64,
}

fn main() -> Result<()> {
    let Cli { profile, sector_size } = Cli::parse();
    println!("{}", serde_json::to_string(&filecash_peer::shape::measure(profile, sector_size)?)?);
    Ok(())
}
