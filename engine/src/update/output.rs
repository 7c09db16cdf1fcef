//! What an encoding hands to the steps after it, as JSON.
//!
//! ```text
//! {"registered_proof":"StackedDrg2KiBV1","comm_r_old":[…],"comm_r_new":[…],"comm_r_last_new":[…],"comm_d_new":[…]}
//! ```
//!
//! A commitment is a list of 32 numbers, as in the outputs of sealing. The reference hands out the three new ones without
//! a form on disk.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{Encoded, NoUpdates, UpdateCommitments, UpdateError, UpdateProof, check_commitments};
use crate::field::Node;
use crate::porep::codec::{CodecError, from_json, write_json};
use crate::sector::Profile;

/// The JSON.
#[derive(Serialize, Deserialize)]
struct Form {
    registered_proof: String,
    comm_r_old: Node,
    comm_r_new: Node,
    comm_r_last_new: Node,
    comm_d_new: Node,
}

/// Why bytes are not the output of an encoding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum OutputError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Proof(#[from] NoUpdates),
    #[error(transparent)]
    Commitments(#[from] UpdateError),
}

impl Encoded {
    /// Writes the JSON.
    ///
    /// # Errors
    /// [`CodecError::Write`].
    pub fn write_json(&self, proof: &UpdateProof, sink: impl Write) -> Result<(), CodecError> {
        let UpdateCommitments { comm_r_old, comm_r_new, comm_d_new } = self.commitments;
        let registered_proof = proof.name.to_owned();
        write_json(
            &Form { registered_proof, comm_r_old, comm_r_new, comm_r_last_new: self.comm_r_last_new, comm_d_new },
            sink,
        )
    }

    /// Reads the JSON.
    ///
    /// # Errors
    /// [`OutputError`], also for commitments that are zero or no field elements.
    pub fn from_json(profile: Profile, bytes: &[u8]) -> Result<(UpdateProof, Self), OutputError> {
        if UpdateProof::all(profile).is_empty() {
            return Err(NoUpdates::Network(profile).into());
        }
        let form: Form = from_json(bytes)?;
        let proof = UpdateProof::by_name(profile, &form.registered_proof)?;
        let Form { comm_r_old, comm_r_new, comm_r_last_new, comm_d_new, .. } = form;
        let commitments = UpdateCommitments { comm_r_old, comm_r_new, comm_d_new };
        commitments.check()?;
        check_commitments(&[("comm_r_last_new", &comm_r_last_new)])?;
        Ok((proof, Self { commitments, comm_r_last_new }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Encoded {
        let commitments = UpdateCommitments { comm_r_old: [1; 32], comm_r_new: [2; 32], comm_d_new: [4; 32] };
        Encoded { commitments, comm_r_last_new: [3; 32] }
    }

    fn written(encoded: &Encoded) -> String {
        let mut bytes = Vec::new();
        encoded.write_json(&UpdateProof::by_id(Profile::Filecoin, 0).unwrap(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn output_comes_back() {
        let text = written(&encoded());
        assert!(text.starts_with("{\"registered_proof\":\"StackedDrg2KiBV1\",\"comm_r_old\":[1,1,"), "{text}");
        let (proof, read) = Encoded::from_json(Profile::Filecoin, text.as_bytes()).unwrap();
        assert_eq!((proof.id, read), (0, encoded()));
    }

    #[test]
    fn other_outputs_are_refused() {
        let refused = |profile, text: &str| Encoded::from_json(profile, text.as_bytes()).unwrap_err().to_string();
        let text = written(&encoded());
        assert_eq!(refused(Profile::Filecash, &text), "filecash has no sector updates");
        assert_eq!(refused(Profile::Filecoin, &text[1..]), "malformed JSON");
        let other = refused(Profile::Filecoin, &text.replace("2KiBV1", "2KiBV1_1"));
        assert_eq!(other, "filecoin has no update proof \"StackedDrg2KiBV1_1\"");
        let zero = Encoded { comm_r_last_new: [0; 32], ..encoded() };
        assert_eq!(refused(Profile::Filecoin, &written(&zero)), "comm_r_last_new is all zero");
        let beyond = UpdateCommitments { comm_d_new: [0xff; 32], ..encoded().commitments };
        let text = written(&Encoded { commitments: beyond, ..encoded() });
        assert_eq!(refused(Profile::Filecoin, &text), "comm_d_new is no field element");
    }
}
