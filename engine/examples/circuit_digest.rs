//! Counts and digest of a PoRep circuit, to compare with `spec/snark.md` 2.8 and 2.9:
//! `cargo run --release --example circuit_digest filecash 16GiB`.
//!
//! Recording takes a fraction of a second; the digest of 32 GiB hashes 27 GB of terms.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::error::Error;
use std::time::Instant;

use filecash_engine::circuit::{PoRepShape, ProofCircuit};
use filecash_engine::sector::Profile;
use filecash_engine::sector::params::all;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [profile, size] = &arguments[..] else {
        return Err("usage: circuit_digest filecoin|filecash SIZE, such as 2KiB".into());
    };
    let profile: Profile = profile.parse()?;
    let params = all(profile).find(|params| params.name == size).ok_or("no sectors of this size")?;

    let start = Instant::now();
    let shape = PoRepShape::new(profile, params).blank().record();
    println!("recorded in {:.3?}, {} bytes", start.elapsed(), shape.memory_bytes());
    println!("inputs with ONE  {}", shape.inputs());
    println!("aux variables    {}", shape.aux());
    println!("constraints      {}", shape.constraints());
    println!("non-zeros        {:?}", shape.matrices().map(|matrix| matrix.non_zeros()));

    let start = Instant::now();
    let digest: String = shape.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("digest           {digest} ({:.1?})", start.elapsed());
    Ok(())
}
