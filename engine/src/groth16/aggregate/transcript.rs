//! The challenges of an aggregate.
//!
//! `T(tag, items)` is SHA-256 over `snarkpack-v1`, the tag, and the items. A challenge is the digest of that followed by a
//! counter, 1 first, as a little-endian integer without its top bit; if it is not below r, or 0 or 1, the next counter is
//! appended to the same hash. Field elements are 32 bytes little-endian, points compressed, Gt twelve Fp little-endian;
//! only byte strings carry their length, in 8 bytes little-endian. Counters are big-endian.
//!
//! Source: `spec/snark.md` 5.4.

use blstrs::{G1Affine, G2Affine};
use ff::{Field, PrimeField};
use sha2::{Digest, Sha256};

use super::Version;
use super::proof::{Folded, Pair, Round};
use crate::backend::cpu::pairing::Gt;
use crate::field::Fr;

const DOMAIN: &str = "snarkpack-v1";

/// What has been said.
struct Transcript(Sha256);

impl Transcript {
    fn new(tag: &str) -> Self {
        Self(Sha256::new()).raw(DOMAIN.as_bytes()).raw(tag.as_bytes())
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn string(self, bytes: &[u8]) -> Self {
        self.raw(&(bytes.len() as u64).to_le_bytes()).raw(bytes)
    }

    fn fr(self, value: &Fr) -> Self {
        self.raw(&value.to_repr())
    }

    fn g1(self, point: &G1Affine) -> Self {
        self.raw(&point.to_compressed())
    }

    fn g2(self, point: &G2Affine) -> Self {
        self.raw(&point.to_compressed())
    }

    fn gt(self, value: &Gt) -> Self {
        self.raw(&value.to_bytes())
    }

    fn pair(self, pair: &Pair) -> Self {
        pair.iter().fold(self, Self::gt)
    }

    fn round(self, round: &Round) -> Self {
        self.gt(&round.zab_l)
            .gt(&round.zab_r)
            .g1(&round.zc_l)
            .g1(&round.zc_r)
            .pair(&round.tab_l)
            .pair(&round.tab_r)
            .pair(&round.tuc_l)
            .pair(&round.tuc_r)
    }

    fn challenge(mut self) -> Fr {
        for counter in 1_u64.. {
            self.0.update(counter.to_be_bytes());
            let mut bytes: [u8; 32] = self.0.clone().finalize().into();
            bytes[31] &= 0x7f;
            let value: Option<Fr> = Fr::from_repr(bytes).into();
            if let Some(value) = value.filter(|value| *value != Fr::ZERO && *value != Fr::ONE) {
                return value;
            }
        }
        unreachable!("more digests were out of range than there are counters")
    }
}

/// hcom: the commitments.
pub fn commitments(com_ab: &Pair, com_c: &Pair) -> Fr {
    Transcript::new("hcom").pair(com_ab).pair(com_c).challenge()
}

/// ρ: the weight of the proofs; sees what comes from outside.
pub fn weight(hcom: &Fr, inc: &[u8]) -> Fr {
    Transcript::new("random-r").fr(hcom).string(inc).challenge()
}

/// The first y, before any round.
pub fn first(hcom: &Fr, ip_ab: &Gt, agg_c: &G1Affine, rho: &Fr) -> Fr {
    Transcript::new("gipa-0").fr(hcom).gt(ip_ab).g1(agg_c).fr(rho).challenge()
}

/// The y of a round, from the one before.
///
/// Round 0 of version 1 keeps the first y, which has not seen that round.
pub fn round(version: Version, number: usize, y: &Fr, round: &Round) -> Fr {
    if number == 0 && version == Version::V1 {
        return *y;
    }
    Transcript::new(&format!("gipa-{number}")).fr(y).round(round).challenge()
}

/// The challenge that sees the folded proofs, from x of the last round.
pub fn link(x: &Fr, folded: &Folded, last: &Round) -> Fr {
    Transcript::new("gipa-extra-link").fr(x).g1(&folded.a).g2(&folded.b).g1(&folded.c).round(last).challenge()
}

/// z: where the polynomials are opened. Version 1 sees x of the last round and the keys, version 2 the link, the keys
/// and the folded proofs.
pub fn point(version: Version, x: &Fr, link: &Fr, folded: &Folded) -> Fr {
    let Folded { a, b, c, v, w } = folded;
    let keys = |transcript: Transcript| transcript.g2(&v[0]).g2(&v[1]).g1(&w[0]).g1(&w[1]);
    let transcript = Transcript::new("random-z");
    match version {
        Version::V1 => keys(transcript.fr(x)).challenge(),
        Version::V2 => keys(transcript.fr(link)).g1(a).g2(b).g1(c).challenge(),
    }
}
