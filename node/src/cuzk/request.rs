//! From what a client asks for to a job: everything that can be checked without proving is checked here.
//!
//! Source: `spec/attach.md` A.3 to A.8.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filecash_engine::sector::id::prover_id;
use filecash_engine::sector::{PoStKind, PoStProof, Profile, SealProof};
use filecash_engine::update::UpdateProof;
use serde::Deserialize;

use super::messages::{ProofKind, SubmitProofRequest};
use crate::hex32::Hex32;
use crate::jobs::{Kind, NewJob, Priority};
use crate::worker::task::{PoStTask, SealTask, UpdateTask};

/// The longest name of a request.
const LONGEST_NAME: usize = 600;
/// More vanilla proofs than any partition has sectors.
const MOST_PROOFS: usize = 2500;

/// Why a request is none. The text begins with a word that operators look for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad-input: {0}")]
pub struct BadInput(String);

fn bad(what: impl Into<String>) -> BadInput {
    BadInput(what.into())
}

/// What a C1 output comes in. Keys that are not known are passed over.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wrapper<'a> {
    sector_num: u64,
    #[serde(borrow)]
    phase1_out: Cow<'a, str>,
    sector_size: u64,
}

/// The job that a request asks for, under a name.
///
/// # Errors
/// [`BadInput`].
pub fn job(
    profile: Profile,
    kind: ProofKind,
    asked: &SubmitProofRequest,
    request: String,
    digest: String,
) -> Result<NewJob, BadInput> {
    if request.len() > LONGEST_NAME {
        return Err(bad(format!("request_id is longer than {LONGEST_NAME} bytes")));
    }
    if asked.vanilla_proofs.len() > MOST_PROOFS {
        return Err(bad(format!("{} vanilla proofs, at most {MOST_PROOFS}", asked.vanilla_proofs.len())));
    }
    let number = u32::try_from(asked.registered_proof).map_err(|_| bad("no proof has such a number"))?;
    let (kind, proof, task, input) = match kind {
        ProofKind::Unspecified => return Err(bad("no kind of proof")),
        ProofKind::PorepSealCommit => {
            let proof = SealProof::by_id(profile, number).map_err(|error| bad(error.to_string()))?;
            size(asked.sector_size, proof.config().params.size_bytes, proof.name)?;
            let task = SealTask { prover_id: Hex32(prover_id(asked.miner_id)), sector: asked.sector_number };
            (Kind::C2, proof.name, json(&task)?, c1_output(asked)?)
        }
        ProofKind::SnapDealsUpdate => {
            let proof = UpdateProof::by_id(profile, number).map_err(|error| bad(error.to_string()))?;
            // The market's client leaves it out.
            if asked.sector_size != 0 {
                size(asked.sector_size, proof.config().params.size_bytes, proof.name)?;
            }
            let task = UpdateTask {
                comm_r_old: bytes32("comm_r_old", &asked.comm_r_old)?,
                comm_r_new: bytes32("comm_r_new", &asked.comm_r_new)?,
                comm_d_new: bytes32("comm_d_new", &asked.comm_d_new)?,
                lengths: lengths(asked),
            };
            (Kind::Update, proof.name, json(&task)?, asked.vanilla_proofs.concat())
        }
        ProofKind::WindowPostPartition | ProofKind::WinningPost => {
            let of_kind = if kind == ProofKind::WinningPost { PoStKind::Winning } else { PoStKind::Window };
            let proof = PoStProof::by_id(profile, number).map_err(|error| bad(error.to_string()))?;
            if proof.kind != of_kind {
                return Err(bad(format!("{} is no {of_kind} proof", proof.name)));
            }
            size(asked.sector_size, proof.config().params.size_bytes, proof.name)?;
            let mut randomness = bytes32("randomness", &asked.randomness)?;
            // It comes masked; if not, the chain's rule is that it is.
            randomness.0[31] &= 0x3f;
            let task = PoStTask {
                prover_id: Hex32(prover_id(asked.miner_id)),
                randomness,
                partition: u64::from(asked.partition_index),
                lengths: lengths(asked),
            };
            let kind = if of_kind == PoStKind::Winning { Kind::Winning } else { Kind::Window };
            (kind, proof.name, json(&task)?, asked.vanilla_proofs.concat())
        }
    };
    if input.is_empty() {
        return Err(bad("there is no vanilla proof"));
    }
    let priority = match asked.priority {
        0 => kind.priority(),
        number @ 1..=4 => Priority::from_number(i64::from(number)),
        _ => Priority::Normal,
    };
    Ok(NewJob {
        profile,
        kind,
        sector: None,
        proof: proof.to_owned(),
        priority,
        deadline: None,
        storage: None,
        after: None,
        hold: None,
        request: Some(request),
        digest: Some(digest),
        task,
        input: Some(input),
    })
}

/// A digest of all that a request says, its name apart.
pub fn digest(profile: Profile, asked: &SubmitProofRequest) -> String {
    let mut state = blake2b_simd::Params::new().hash_length(16).to_state();
    state.update(profile.name().as_bytes());
    for number in [asked.registered_proof, asked.sector_size, asked.sector_number, asked.miner_id] {
        state.update(&number.to_le_bytes());
    }
    state.update(&asked.proof_kind.to_le_bytes()).update(&asked.partition_index.to_le_bytes());
    let texts = [&asked.vanilla_proof, &asked.randomness, &asked.comm_r_old, &asked.comm_r_new, &asked.comm_d_new];
    for bytes in texts.into_iter().chain(&asked.vanilla_proofs) {
        state.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    hex::encode(state.finalize().as_bytes())
}

/// The C1 output in a request's wrapper.
fn c1_output(asked: &SubmitProofRequest) -> Result<Vec<u8>, BadInput> {
    let wrapper: Wrapper<'_> = serde_json::from_slice(&asked.vanilla_proof)
        .map_err(|error| bad(format!("the vanilla proof is no JSON of SectorNum, Phase1Out, SectorSize: {error}")))?;
    let (inner, outer) = (wrapper.sector_num, asked.sector_number);
    if inner != outer {
        return Err(bad(format!("SectorNum is {inner}, sector_number {outer}")));
    }
    let (inner, outer) = (wrapper.sector_size, asked.sector_size);
    if inner != outer {
        return Err(bad(format!("SectorSize is {inner}, sector_size {outer}")));
    }
    STANDARD.decode(wrapper.phase1_out.as_bytes()).map_err(|error| bad(format!("Phase1Out is no base64: {error}")))
}

fn size(asked: u64, expected: u64, name: &str) -> Result<(), BadInput> {
    match asked == expected {
        true => Ok(()),
        false => Err(bad(format!("sector_size is {asked}, but {name} is of {expected}"))),
    }
}

fn bytes32(name: &str, bytes: &[u8]) -> Result<Hex32, BadInput> {
    let bytes = bytes.try_into().map_err(|_| bad(format!("{name} has {} bytes, expected 32", bytes.len())))?;
    Ok(Hex32(bytes))
}

fn lengths(asked: &SubmitProofRequest) -> Vec<usize> {
    asked.vanilla_proofs.iter().map(Vec::len).collect()
}

fn json(task: &impl serde::Serialize) -> Result<String, BadInput> {
    serde_json::to_string(task).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn porep(phase1: &[u8]) -> SubmitProofRequest {
        let wrapper = format!(
            "{{\"SectorSize\": 2048, \"Extra\": [1], \"Phase1Out\": \"{}\", \"SectorNum\": 7}}",
            STANDARD.encode(phase1)
        );
        SubmitProofRequest {
            proof_kind: 1,
            sector_size: 2048,
            registered_proof: 5,
            sector_number: 7,
            miner_id: 1000,
            vanilla_proof: wrapper.into_bytes(),
            ..SubmitProofRequest::default()
        }
    }

    fn made(kind: ProofKind, asked: &SubmitProofRequest) -> Result<NewJob, BadInput> {
        job(Profile::Filecoin, kind, asked, "id".into(), digest(Profile::Filecoin, asked))
    }

    #[test]
    fn seal_is_unwrapped() {
        let job = made(ProofKind::PorepSealCommit, &porep(b"{c1}")).unwrap();
        assert_eq!((job.kind, job.proof.as_str(), job.priority), (Kind::C2, "StackedDrg2KiBV1_1", Priority::Normal));
        assert_eq!(job.input.unwrap(), b"{c1}");
        let task: SealTask = serde_json::from_str(&job.task).unwrap();
        assert_eq!((task.prover_id.0[..3].to_vec(), task.sector), (vec![0xe8, 7, 0], 7));
    }

    #[test]
    fn priorities_are_of_the_kind_unless_given() {
        let asked = |priority| SubmitProofRequest { priority, ..porep(b"c1") };
        let of = |priority| made(ProofKind::PorepSealCommit, &asked(priority)).unwrap().priority;
        assert_eq!([0, 1, 2, 3, 4, 9, -1].map(of), {
            use Priority::{Critical, High, Low, Normal};
            [Normal, Low, Normal, High, Critical, Normal, Normal]
        });
        let post = SubmitProofRequest {
            registered_proof: 0,
            sector_size: 2048,
            randomness: vec![0xff; 32],
            vanilla_proofs: vec![vec![1, 2], vec![3]],
            ..SubmitProofRequest::default()
        };
        let winning = made(ProofKind::WinningPost, &post).unwrap();
        assert_eq!((winning.priority, winning.input.as_deref()), (Priority::Critical, Some(&[1, 2, 3][..])));
        let task: PoStTask = serde_json::from_str(&winning.task).unwrap();
        assert_eq!((task.lengths, task.randomness.0[31]), (vec![2, 1], 0x3f));
        let window = made(ProofKind::WindowPostPartition, &post).unwrap_err();
        assert!(window.to_string().starts_with("bad-input: "), "{window}");
    }

    #[test]
    fn digests_tell_what_differs() {
        let first = porep(b"c1");
        let of = |change: fn(&mut SubmitProofRequest)| {
            let mut asked = first.clone();
            change(&mut asked);
            digest(Profile::Filecoin, &asked)
        };
        let base = of(|_| {});
        // How urgent it is, and its name, are not what is asked for.
        assert_eq!(of(|asked| (asked.priority, asked.request_id) = (4, "x".into())), base);
        let changes: [Change; 6] = [
            |asked| asked.vanilla_proof[3] ^= 1,
            |asked| asked.vanilla_proofs = vec![vec![]],
            |asked| asked.miner_id += 1,
            |asked| asked.partition_index = 1,
            |asked| asked.randomness = vec![0],
            |asked| asked.comm_d_new = vec![0],
        ];
        for change in changes {
            assert_ne!(of(change), base);
        }
        assert_ne!(digest(Profile::Filecash, &first), base);
    }

    type Change = fn(&mut SubmitProofRequest);

    #[test]
    fn nonsense_is_named() {
        let changes: [(Change, &str); 7] = [
            (|asked| asked.vanilla_proof = b"{}".to_vec(), "SectorNum"),
            (|asked| asked.vanilla_proof.truncate(40), "no JSON"),
            (|asked| asked.sector_number = 8, "SectorNum is 7, sector_number 8"),
            (|asked| asked.sector_size = 1, "sector_size is 1"),
            (|asked| asked.registered_proof = 77, "77"),
            (|asked| asked.registered_proof = u64::MAX, "no proof"),
            (|asked| asked.vanilla_proof = porep(b"").vanilla_proof, "no vanilla proof"),
        ];
        for (change, expected) in changes {
            let mut asked = porep(b"c1");
            change(&mut asked);
            let error = made(ProofKind::PorepSealCommit, &asked).err().unwrap().to_string();
            assert!(error.starts_with("bad-input: ") && error.contains(expected), "{error}");
        }
        let update = SubmitProofRequest { vanilla_proofs: vec![vec![1]], ..SubmitProofRequest::default() };
        let error = made(ProofKind::SnapDealsUpdate, &update).err().unwrap().to_string();
        assert!(error.contains("comm_r_old has 0 bytes"), "{error}");
    }
}
