//! Whether signatures are good.
//!
//! | Of | By | Over |
//! |---|---|---|
//! | a message | the key that it is from | the bytes of its CID |
//! | a block's BLS messages, summed | the keys that they are from | the bytes of each one's CID |
//! | a block | the miner's worker | the header with null in the signature's place |
//!
//! BLS is the basic scheme with keys in G1; keys and signatures are checked to be in their groups, and a key not to be the point at
//! infinity. A secp256k1 signature gives the key that it was made with, whose address is compared.
//!
//! Source: `spec/chain.md` 1.3, 2.1 and 2.2.

use std::collections::HashSet;

use blake2b_simd::Params;
use blst::BLST_ERROR;
use blst::min_pk;
use k256::ecdsa::{self, RecoveryId, VerifyingKey};

use crate::address::{Address, BlsKey};
use crate::header::BlockHeader;
use crate::message::SignedMessage;
use crate::signature::Signature;

/// What messages are hashed to points with.
const BLS_DOMAIN: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_";

/// Why a signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages are the docs")]
pub enum SignatureFault {
    #[error("there is no signature")]
    Missing,
    #[error("the signature is of another kind than the key")]
    Kind,
    #[error("the key is none")]
    Key,
    #[error("the signature is not of this key over these bytes")]
    Wrong,
    #[error("two of the messages that a signature sums are the same")]
    SameMessage,
    /// Says nothing about the signature: the ledger knows the key.
    #[error("address {0} names no key")]
    NoKey(Address),
}

/// Whether a signature is that of an address that names a key.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify(signer: &Address, signature: &Signature, bytes: &[u8]) -> Result<(), SignatureFault> {
    match (signer, signature) {
        (Address::Bls(key), Signature::Bls(signature)) => verify_bls(key, signature, bytes),
        (Address::Secp256k1(_), Signature::Secp256k1(signature)) => match recover(signature, bytes) {
            Some(address) if address == *signer => Ok(()),
            _ => Err(SignatureFault::Wrong),
        },
        (Address::Bls(_) | Address::Secp256k1(_), _) => Err(SignatureFault::Kind),
        (Address::Id(_) | Address::Actor(_), _) => Err(SignatureFault::NoKey(*signer)),
    }
}

/// Whether a message is signed by whom it is from. Keys of senders that are named by number come from `key_of`.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_message(
    signed: &SignedMessage,
    key_of: impl Fn(&Address) -> Option<Address>,
) -> Result<(), SignatureFault> {
    let signer = key_for(&signed.message.from, key_of)?;
    verify(&signer, &signed.signature, &signed.message.signing_bytes())
}

/// The key of a sender.
pub(super) fn key_for(from: &Address, key_of: impl Fn(&Address) -> Option<Address>) -> Result<Address, SignatureFault> {
    if from.is_key() { Ok(*from) } else { key_of(from).ok_or(SignatureFault::NoKey(*from)) }
}

/// Whether a block is signed by a worker's key.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_block(header: &BlockHeader, worker: &BlsKey) -> Result<(), SignatureFault> {
    let signature = header.signature.as_ref().ok_or(SignatureFault::Missing)?;
    verify(&Address::Bls(*worker), signature, &header.signing_bytes())
}

/// Whether a signature sums those of keys, each over its own bytes. That of none is the point at infinity.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_aggregate(signature: &Signature, signed: &[(BlsKey, Vec<u8>)]) -> Result<(), SignatureFault> {
    let Signature::Bls(signature) = signature else { return Err(SignatureFault::Kind) };
    if signed.is_empty() {
        return if *signature == infinity() { Ok(()) } else { Err(SignatureFault::Wrong) };
    }
    let mut seen = HashSet::new();
    if !signed.iter().all(|(_, bytes)| seen.insert(&bytes[..])) {
        return Err(SignatureFault::SameMessage);
    }
    let keys = signed.iter().map(|(key, _)| bls_key(key)).collect::<Result<Vec<_>, _>>()?;
    let signature = min_pk::Signature::sig_validate(signature, false).map_err(|_| SignatureFault::Wrong)?;
    let keys: Vec<_> = keys.iter().collect();
    let bytes: Vec<_> = signed.iter().map(|(_, bytes)| &bytes[..]).collect();
    // Groups have been checked.
    is_good(signature.aggregate_verify(false, &bytes, BLS_DOMAIN, &keys, false))
}

/// Whether a BLS signature is that of a key, or a VRF proof is.
///
/// # Errors
/// [`SignatureFault`].
pub fn verify_bls(key: &BlsKey, signature: &[u8; 96], bytes: &[u8]) -> Result<(), SignatureFault> {
    let key = bls_key(key)?;
    let signature = min_pk::Signature::sig_validate(signature, true).map_err(|_| SignatureFault::Wrong)?;
    is_good(signature.verify(false, bytes, BLS_DOMAIN, &[], &key, false))
}

/// The compressed point at infinity.
fn infinity() -> [u8; 96] {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    bytes
}

fn bls_key(key: &BlsKey) -> Result<min_pk::PublicKey, SignatureFault> {
    min_pk::PublicKey::key_validate(key).map_err(|_| SignatureFault::Key)
}

fn is_good(outcome: BLST_ERROR) -> Result<(), SignatureFault> {
    if outcome == BLST_ERROR::BLST_SUCCESS { Ok(()) } else { Err(SignatureFault::Wrong) }
}

/// The address of the key that made a signature over bytes.
fn recover(signature: &[u8; 65], bytes: &[u8]) -> Option<Address> {
    let (scalars, recovery) = signature.split_at(64);
    let mut signature = ecdsa::Signature::from_slice(scalars).ok()?;
    let mut recovery = RecoveryId::from_byte(recovery[0])?;
    // The reference takes both forms of a signature; of the one with the high s, the other is the same with the point mirrored.
    let low = signature.normalize_s();
    if low != signature {
        signature = low;
        recovery = RecoveryId::new(!recovery.is_y_odd(), recovery.is_x_reduced());
    }
    let digest = Params::new().hash_length(32).hash(bytes);
    let key = VerifyingKey::recover_from_prehash(digest.as_bytes(), &signature, recovery).ok()?;
    let point = key.to_sec1_point(false);
    Some(Address::of_secp256k1(point.as_bytes().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use blst::min_pk::{AggregateSignature, SecretKey};
    use k256::ecdsa::SigningKey;

    use super::*;

    fn bls(seed: u8, bytes: &[u8]) -> (BlsKey, min_pk::Signature) {
        let key = SecretKey::key_gen(&[seed; 32], &[]).unwrap();
        (key.sk_to_pk().to_bytes(), key.sign(bytes, BLS_DOMAIN, &[]))
    }

    fn secp256k1(seed: u8, bytes: &[u8]) -> (Address, [u8; 65]) {
        let key = SigningKey::from_slice(&[seed; 32]).unwrap();
        let digest = Params::new().hash_length(32).hash(bytes);
        let (signature, recovery) = key.sign_prehash_recoverable(digest.as_bytes());
        let point = key.verifying_key().to_sec1_point(false);
        let address = Address::of_secp256k1(point.as_bytes().try_into().unwrap());
        (address, [&signature.to_bytes()[..], &[recovery.to_byte()]].concat().try_into().unwrap())
    }

    #[test]
    fn signature_is_good_for_its_key_and_bytes_only() {
        let ((key, signature), (other, _)) = (bls(1, b"bytes"), bls(2, b"bytes"));
        let signature = signature.to_bytes();
        assert_eq!(verify_bls(&key, &signature, b"bytes"), Ok(()));
        assert_eq!(verify_bls(&key, &signature, b"other"), Err(SignatureFault::Wrong));
        assert_eq!(verify_bls(&other, &signature, b"bytes"), Err(SignatureFault::Wrong));
        assert_eq!(verify_bls(&[0xff; 48], &signature, b"bytes"), Err(SignatureFault::Key));
        let (address, bytes) = secp256k1(1, b"bytes");
        let signature = Signature::Secp256k1(bytes);
        assert_eq!(verify(&address, &signature, b"bytes"), Ok(()));
        assert_eq!(verify(&address, &signature, b"other"), Err(SignatureFault::Wrong));
        assert_eq!(verify(&secp256k1(2, b"").0, &signature, b"bytes"), Err(SignatureFault::Wrong));
        assert_eq!(verify(&Address::Bls(key), &signature, b"bytes"), Err(SignatureFault::Kind));
        assert_eq!(verify(&Address::Id(1), &signature, b"bytes"), Err(SignatureFault::NoKey(Address::Id(1))));
        for wrong in [[0; 65], [0xff; 65], [&bytes[..64], &[4]].concat().try_into().unwrap()] {
            assert_eq!(verify(&address, &Signature::Secp256k1(wrong), b"bytes"), Err(SignatureFault::Wrong));
        }
    }

    #[test]
    fn infinity_is_no_key_and_no_signature() {
        let mut key = [0; 48];
        key[0] = 0xc0;
        assert_eq!(verify_bls(&key, &infinity(), b"bytes"), Err(SignatureFault::Key));
        assert_eq!(verify_bls(&bls(1, b"").0, &infinity(), b"bytes"), Err(SignatureFault::Wrong));
    }

    #[test]
    fn both_forms_of_a_signature_are_taken() {
        let (address, bytes) = secp256k1(3, b"bytes");
        let signature = ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
        let (r, s) = signature.split_scalars();
        let high = ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
        assert_ne!(high, high.normalize_s());
        let high: [u8; 65] = [&high.to_bytes()[..], &[bytes[64] ^ 1]].concat().try_into().unwrap();
        assert_eq!(verify(&address, &Signature::Secp256k1(high), b"bytes"), Ok(()));
    }

    #[test]
    fn sum_is_good_for_all_of_its_messages_only() {
        let texts = [&b"one"[..], b"two", b"three"];
        let (mut signed, mut parts) = (Vec::new(), Vec::new());
        for (seed, text) in texts.iter().enumerate() {
            let (key, part) = bls(seed as u8, text);
            signed.push((key, text.to_vec()));
            parts.push(part);
        }
        let sum = AggregateSignature::aggregate(&parts.iter().collect::<Vec<_>>(), true).unwrap();
        let sum = Signature::Bls(sum.to_signature().to_bytes());
        assert_eq!(verify_aggregate(&sum, &signed), Ok(()));
        assert_eq!(verify_aggregate(&sum, &signed[..2]), Err(SignatureFault::Wrong));
        assert_eq!(verify_aggregate(&sum, &[]), Err(SignatureFault::Wrong));
        assert_eq!(verify_aggregate(&Signature::Bls(infinity()), &[]), Ok(()));
        assert_eq!(verify_aggregate(&Signature::Bls(infinity()), &signed), Err(SignatureFault::Wrong));
        assert_eq!(verify_aggregate(&Signature::Secp256k1([0; 65]), &signed), Err(SignatureFault::Kind));
        signed[1].1 = b"one".to_vec();
        assert_eq!(verify_aggregate(&sum, &signed), Err(SignatureFault::SameMessage));
    }
}
