//! Counts and digest of a circuit, to compare with `spec/snark.md` 2.8 and 2.9:
//! `cargo run --release --example circuit_digest filecash 16GiB porep`, or `window`, or `winning`, or `update`.
//!
//! Recording takes a fraction of a second; the digest of a PoRep of 32 GiB hashes 27 GB of terms, that of its window
//! PoSt 43 GB: minutes. Tests compare those that take less.

#![allow(clippy::print_stdout, reason = "printing is what this program is for")]

use std::error::Error;
use std::time::Instant;

use filecash_engine::circuit::{PoRepShape, PoStShape, ProofCircuit, UpdateCircuit};
use filecash_engine::sector::params::all;
use filecash_engine::sector::{PoStKind, Profile};
use filecash_engine::update::UpdateConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [profile, size, circuit] = &arguments[..] else {
        return Err(
            "usage: circuit_digest filecoin|filecash SIZE porep|winning|window|update, with a SIZE such as 2KiB".into(),
        );
    };
    let profile: Profile = profile.parse()?;
    let params = all(profile).find(|params| params.name == size).ok_or("no sectors of this size")?;

    let start = Instant::now();
    let shape = match circuit.as_str() {
        "porep" => PoRepShape::new(profile, params).blank().record(),
        "winning" => PoStShape::new(PoStKind::Winning, params).blank().record(),
        "window" => PoStShape::new(PoStKind::Window, params).blank().record(),
        "update" => UpdateCircuit::blank(UpdateConfig::for_size(profile, params.size_bytes)?.shape).record(),
        other => return Err(format!("no circuit {other:?}").into()),
    };
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
