//! Every phase of a seal by either side, on what either side left.
//!
//! A sequence of phases is a word over {us, them}. Up to C1 every word leaves the same bytes, so it is enough that each
//! prefix is extended by both; the 128 words over parameters, PC1, PC2, C1, C2, verification and unsealing are then
//! gone through one by one, with the proofs of equal C1 bytes under the same parameters made once for each prover.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use filecash_interop::case::{Case, Piece, Rules, small};
use filecash_interop::features::copy;
use filecash_interop::ours::Ours;
use filecash_interop::params;
use filecash_interop::side::{Maker, Reference, Side, Statement};
use filecash_interop::snapshot::{Snapshot, difference};
use tempfile::TempDir;

use Maker::{Them, Us};
use Piece::{Data, Rest};

/// Both sides and a folder for the sectors.
struct World {
    folder: TempDir,
    ours: Ours,
    reference: Reference,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ours = Ours::new(&folder.path().join("parents-ours"));
        let program = PathBuf::from(env!("CARGO_BIN_EXE_filecash-interop-peer"));
        let reference = Reference { program, parents: folder.path().join("parents-reference") };
        Self { folder, ours, reference }
    }

    fn side(&self, maker: Maker) -> &dyn Side {
        match maker {
            Us => &self.ours,
            Them => &self.reference,
        }
    }

    /// The folder of a sector sealed by these makers so far; all names have one length.
    fn sector(&self, makers: &[Maker]) -> PathBuf {
        let word: String = makers.iter().map(|maker| maker.letter()).collect();
        self.folder.path().join(format!("sector-{word:-<3}"))
    }

    /// Does the next phase in a copy of the sector of the makers before.
    fn extend(&self, makers: &[Maker], phase: impl Fn(&dyn Side, &Path) -> anyhow::Result<()>) {
        let (&last, before) = makers.split_last().unwrap();
        let folder = self.sector(makers);
        copy(&self.sector(before), &folder).unwrap();
        phase(self.side(last), &folder).unwrap_or_else(|error| panic!("{makers:?}: {error:#}"));
    }

    /// The files of a sector, with the paths that it had after each phase replaced by one that all share.
    fn snapshot(&self, makers: &[Maker]) -> Snapshot {
        let path = |makers| self.sector(makers).to_string_lossy().into_owned();
        let files = Snapshot::of(&self.sector(makers)).unwrap();
        (1..=makers.len()).fold(files, |files, phases| files.replacing(&path(&makers[..phases]), &path(&[])))
    }

    /// Asserts that all sectors are the same, and gives one.
    fn same(&self, words: &[Vec<Maker>]) -> Snapshot {
        let first = self.snapshot(&words[0]);
        for word in &words[1..] {
            let difference = first.difference(&self.snapshot(word));
            assert_eq!(difference, None, "{:?} and {word:?}", words[0]);
        }
        first
    }

    /// Seals up to C1 in all eight ways, comparing all files at every step.
    fn seal(&self, case: &Case) -> [[u8; 32]; 2] {
        for maker in Maker::BOTH {
            self.stage(case, maker);
        }
        let staged = |maker| Snapshot::of(&self.folder.path().join(staged_by(maker))).unwrap();
        assert_eq!(staged(Us).difference(&staged(Them)), None, "{}: staging", case.name);
        copy(&self.folder.path().join(staged_by(Them)), &self.sector(&[])).unwrap();

        let words = words(1);
        for word in &words {
            self.extend(word, |side, folder| side.pc1(case, folder));
        }
        self.same(&words);
        let words = self::words(2);
        for word in &words {
            self.extend(word, |side, folder| side.pc2(case, folder));
        }
        self.same(&words);
        let words = self::words(3);
        for word in &words {
            self.extend(word, |side, folder| side.c1(case, folder));
        }
        let files = self.same(&words);
        let pc2: serde_json::Value = serde_json::from_slice(&files.0["pc2.json"]).unwrap();
        ["comm_r", "comm_d"].map(|name| serde_json::from_value(pc2[name].clone()).unwrap())
    }

    fn stage(&self, case: &Case, maker: Maker) {
        let folder = self.folder.path().join(staged_by(maker));
        fs::create_dir(&folder).unwrap();
        for (index, piece) in case.pieces.iter().enumerate() {
            match piece {
                Data(_) => {
                    fs::write(folder.join(format!("piece-{index}")), case.data(index)).unwrap();
                    self.side(maker).add_piece(case, &folder, index).unwrap();
                }
                Rest(size) => filecash_interop::ours::list_zeros(&folder.join("pieces.json"), *size).unwrap(),
            }
        }
    }

    /// Unseals with one side what the makers sealed: the whole sector and every piece.
    fn unseals(&self, case: &Case, makers: &[Maker], comm_d: &[u8; 32], by: Maker) {
        let content = case.content();
        for [offset, length] in case.ranges().into_iter().chain([[0, content.len() as u64]]) {
            let data = self.side(by).unseal(case, &self.sector(makers), comm_d, [offset, length]).unwrap();
            let expected = &content[offset as usize..(offset + length) as usize];
            assert_eq!(difference(&data, expected), None, "{makers:?} unsealed by {by:?}, from {offset}");
        }
    }
}

fn staged_by(maker: Maker) -> String {
    format!("staged-{}", maker.letter())
}

/// Every word of so many makers.
fn words(length: u32) -> Vec<Vec<Maker>> {
    let maker = |bits: u32, at: u32| if bits >> at & 1 == 0 { Us } else { Them };
    (0..1 << length).map(|bits| (0..length).map(|at| maker(bits, at)).collect()).collect()
}

fn sealed_and_unsealed_by_either(case: &Case) {
    let world = World::new();
    let [_, comm_d] = world.seal(case);
    for word in words(2) {
        for by in Maker::BOTH {
            world.unseals(case, &word, &comm_d, by);
        }
    }
}

#[test]
fn one_piece() {
    sealed_and_unsealed_by_either(&small("one piece", 5, Rules::V1_1_0, &[Data(2032)]));
}

#[test]
fn pieces_that_need_zeros_between_them() {
    let pieces = [Data(127), Data(508), Data(1016)];
    sealed_and_unsealed_by_either(&small("zeros between", 5, Rules::V1_1_0, &pieces));
}

#[test]
fn pieces_of_falling_and_rising_sizes() {
    let pieces = [Data(508), Data(127), Data(254), Data(127), Data(254), Rest(254)];
    sealed_and_unsealed_by_either(&small("falling and rising", 5, Rules::V1_1_0, &pieces));
}

#[test]
fn half_a_sector() {
    sealed_and_unsealed_by_either(&small("half a sector", 5, Rules::V1_1_0, &[Data(1016), Rest(1016)]));
}

#[test]
fn legacy_graph() {
    let pieces = [Data(254), Data(127), Data(1016)];
    sealed_and_unsealed_by_either(&small("legacy graph", 0, Rules::V1_0_0, &pieces));
}

/// All 128 words over the makers of parameters, PC1, PC2, C1, C2, verification and unsealing.
#[test]
fn every_phase_by_either_side() {
    let world = World::new();
    let case = small("every phase", 5, Rules::V1_1_0, &[Data(127), Data(127), Data(508), Data(508), Rest(508)]);
    let comms = world.seal(&case);
    let statement = Statement::of(&case, comms);
    let params: HashMap<Maker, PathBuf> =
        Maker::BOTH.map(|maker| (maker, params::made_by(maker, &world.ours, &world.reference).unwrap())).into();

    let mut proofs: HashMap<(Maker, Vec<u8>, Maker), Vec<u8>> = HashMap::new();
    let mut held: HashMap<(Maker, Vec<u8>, Maker), bool> = HashMap::new();
    let mut gone_through = 0;
    for word in words(7) {
        let &[keys, pc1, pc2, c1, prover, verifier, unsealer] = word.as_slice() else { panic!("a word of seven") };
        let sealed = world.sector(&[pc1, pc2, c1]);
        let vanilla = fs::read(sealed.join("c1.json")).unwrap();
        let proof = proofs
            .entry((keys, vanilla, prover))
            .or_insert_with(|| world.side(prover).c2(&case, &sealed, &params[&keys]).unwrap());
        assert_eq!(proof.len(), 192);
        let holds = held
            .entry((keys, proof.clone(), verifier))
            .or_insert_with(|| world.side(verifier).verify(&case, &statement, proof, &params[&keys]));
        assert!(*holds, "{word:?}");
        if keys == Us && prover == Us && verifier == Us {
            world.unseals(&case, &[pc1, pc2, c1], &comms[1], unsealer);
        }
        gone_through += 1;
    }
    assert_eq!((gone_through, proofs.len(), held.len()), (128, 4, 8));

    for ((keys, _, prover), proof) in &proofs {
        for verifier in Maker::BOTH {
            let refused = |what: &str, statement: &Statement, proof: &[u8], params: &Path| {
                let holds = world.side(verifier).verify(&case, statement, proof, params);
                assert!(!holds, "keys of {keys:?}, proof of {prover:?}, {verifier:?} accepts {what}");
            };
            let own = &params[keys];
            let other = &params[&if *keys == Us { Them } else { Us }];
            refused("other keys", &statement, proof, other);
            refused("another seed", &Statement { seed: case.random("other seed"), ..statement }, proof, own);
            statement.others().iter().for_each(|(what, other)| refused(what, other, proof, own));
            let mut flipped = proof.clone();
            flipped[100] ^= 1;
            refused("a flipped bit", &statement, &flipped, own);
            refused("a cut proof", &statement, &proof[..191], own);
        }
    }
}
