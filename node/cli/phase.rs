//! What the phases of sealing have in common: their output files, and how their results look.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use filecash_engine::Error;
use filecash_engine::field::Node;
use filecash_engine::porep::challenges::SyntheticSet;
use filecash_engine::porep::codec::CodecError;
use filecash_engine::porep::outputs::{Commit1Output, PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::{Profile, SealProof, SectorParams, cid};
use serde_json::{Value, json};

use crate::context::Context;
use crate::files::{self, Output};
use crate::measure::Cost;
use crate::report::{Failure, Kind, Report, with_causes};
use crate::text::{self, Table};

/// A phase's output as the JSON of the reference's API.
pub trait Codec: Sized {
    /// What people call it.
    const NAME: &'static str;

    /// Reads the output, and which registered proof it is of.
    fn decode(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError>;

    /// Writes the output of a registered proof.
    fn encode(&self, proof: &SealProof, sink: &mut dyn Write) -> Result<(), CodecError>;

    /// Writes a file.
    fn write_file(&self, proof: &SealProof, path: &Path, force: bool) -> anyhow::Result<()> {
        let mut output = Output::create(path, force)?;
        self.encode(proof, &mut output).with_context(|| format!("cannot write {}", path.display()))?;
        output.commit()
    }

    /// Reads a file.
    fn read_file(profile: Profile, path: &Path) -> anyhow::Result<(SealProof, Self)> {
        let bytes = files::read(path, Self::NAME)?;
        Self::decode(profile, &bytes).map_err(|error| {
            let cause = with_causes(&error);
            let message = format!("{} is no {} of profile {profile}: {cause}", path.display(), Self::NAME);
            Failure::new(Kind::Input, message).into()
        })
    }
}

macro_rules! codec {
    ($output:ty, $name:literal) => {
        impl Codec for $output {
            const NAME: &'static str = $name;

            fn decode(profile: Profile, bytes: &[u8]) -> Result<(SealProof, Self), CodecError> {
                Self::from_api_json(profile, bytes)
            }

            fn encode(&self, proof: &SealProof, sink: &mut dyn Write) -> Result<(), CodecError> {
                self.write_api_json(proof, sink)
            }
        }
    };
}

codec!(PreCommit1Output, "PC1 output");
codec!(PreCommit2Output, "PC2 output");
codec!(Commit1Output, "C1 output");

/// Members of the synthetic set of a sector.
pub fn synthetic_proofs(params: &SectorParams) -> u64 {
    // Their number does not depend on whose sector it is.
    SyntheticSet::new(&[0; 32], &[0; 32], params.nodes()).len()
}

/// Text and JSON of a CommP or CommD.
pub fn data_commitment(commitment: &Node) -> (Value, String) {
    both(commitment, cid::of_data(commitment).to_string())
}

/// Text and JSON of a CommR.
pub fn replica_commitment(commitment: &Node) -> (Value, String) {
    both(commitment, cid::of_replica(commitment).to_string())
}

fn both(commitment: &Node, cid: String) -> (Value, String) {
    (json!({ "hex": hex::encode(commitment), "cid": cid }), cid)
}

/// What came of verifying something: that it does not hold is a result, whatever else went wrong a failure.
pub fn verdict(
    what: &str,
    context: &Context,
    outcome: Result<(), Error>,
    cost: Cost,
    fields: &Table,
) -> anyhow::Result<Report> {
    let (reason, outcome) = match outcome {
        Err(error) if error.is_rejection() => (Some(error.to_string()), Ok(())),
        outcome => (None, outcome),
    };
    context.kept(outcome, || "nothing was changed".to_owned())?;
    let headline = match &reason {
        None => format!("The {what} is valid ({})", text::duration(cost.wall)),
        Some(reason) => format!("The {what} is WRONG: {reason}"),
    };
    Ok(Report {
        accepted: reason.is_none(),
        text: format!("{headline}\n{}", fields.render()),
        json: json!({ "valid": reason.is_none(), "reason": reason, "cost": cost.json() }),
    })
}

/// A phase's result: a headline with time and the rate over the `bytes` that it streamed (0 where its cost has little to
/// do with bytes), the fields, and the command that goes on.
pub fn report(name: &str, bytes: u64, cost: Cost, fields: &Table, mut json: Value, next: Option<String>) -> Report {
    let mut text = format!("{name} done in {}", text::duration(cost.wall));
    if bytes > 0 {
        text += &format!(", {}", text::rate(bytes, cost.wall));
    }
    if let Some(peak) = cost.peak_bytes {
        text += &format!(", {} of memory", filecash_node::size::ByteSize(peak));
    }
    text += &format!("\n{}", fields.render());
    json["phase"] = json!(name.to_lowercase());
    json["cost"] = cost.json();
    if let Some(next) = next {
        text += &format!("Next: {next}\n");
        json["next"] = json!(next);
    }
    Report::done(text, json)
}
