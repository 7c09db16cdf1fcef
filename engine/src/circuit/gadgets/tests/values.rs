//! What gadgets compute, and that no other values satisfy them.

use bellman::groth16::{create_proof, generate_random_parameters, prepare_verifying_key, verify_proof};
use bellman::{Circuit, ConstraintSystem, SynthesisError};
use ff::{Field, PrimeField};
use rand_core::SeedableRng;
use sha2::{Digest, Sha256, Sha512};

use crate::circuit::cs::{CircuitSystem, DebugSystem, Plain, WitnessPass};
use crate::circuit::gadgets::bit::{self, Bit};
use crate::circuit::gadgets::insert::{insert, select};
use crate::circuit::gadgets::label::label;
use crate::circuit::gadgets::num::{self, Num};
use crate::circuit::gadgets::path::{Level, NodeHash, Step, parent, path, root};
use crate::circuit::gadgets::poseidon::{self, Tag};
use crate::circuit::gadgets::sha::{sha256, sha512};
use crate::circuit::values::Values;
use crate::circuit::{Shape, Witness};
use crate::field::fr::{from_node, to_node};
use crate::field::{Fr, Node};
use crate::hash::label::{self, repeat};
use crate::hash::sha256::{sha_node, trim};
use crate::sector::Profile;

type Result<T = ()> = std::result::Result<T, SynthesisError>;

/// A unit of a circuit, readable by every reader.
trait Unit {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result;
}

/// Reads a unit, checks that it is satisfied and that the fast pass gives the same values.
fn satisfied(unit: &impl Unit) -> (Shape, Witness) {
    let mut debug = DebugSystem::new();
    unit.read(&mut debug).unwrap();
    let (shape, witness) = debug.finish();
    assert_eq!(shape.evaluate(&witness).first_unsatisfied(), None);
    let mut pass = WitnessPass::new();
    unit.read(&mut pass).unwrap();
    assert_eq!(pass.finish(), witness);
    (shape, witness)
}

/// Changes single aux variables, every `step`th, and asserts that each change is noticed: bits flip, others grow by 1.
fn assert_pinned((shape, witness): &(Shape, Witness), step: usize) {
    let values: Vec<Fr> = witness.aux.iter().collect();
    for changed in (0..values.len()).step_by(step) {
        let mut values = values.clone();
        values[changed] = if values[changed] == Fr::ONE { Fr::ZERO } else { values[changed] + Fr::ONE };
        let aux: Values = values.into_iter().collect();
        let changed_witness = Witness { inputs: witness.inputs.clone(), aux };
        assert!(shape.evaluate(&changed_witness).first_unsatisfied().is_some(), "aux {changed} can be changed");
    }
}

fn value(seed: u64) -> Fr {
    Fr::from(seed + 1).pow_vartime([seed + 77]) + Fr::from(seed).pow_vartime([1 << 20])
}

fn node(seed: u64) -> Node {
    trim(Sha256::digest(seed.to_le_bytes()).into())
}

fn numbers<CS: CircuitSystem>(cs: &mut CS, values: &[Fr]) -> Result<Vec<Num<CS::Wire>>> {
    values.iter().map(|value| num::alloc(cs, Some(*value))).collect()
}

/// The bits of bytes as a hash reads them.
fn hash_bits<CS: CircuitSystem>(cs: &mut CS, bytes: &[u8]) -> Result<Vec<Bit<CS::Wire>>> {
    let mut bits = Vec::new();
    for byte in bytes {
        bits.extend(bit::alloc_list(cs, &[u64::from(byte.reverse_bits())], 8)?);
    }
    Ok(bits)
}

/// The bytes that a hash's bits stand for.
fn bytes<W: Copy>(bits: &[Bit<W>]) -> Vec<u8>
where
    Bit<W>: Copy,
{
    bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(bit.value))).collect()
}

struct Hashes(usize);

impl Unit for Hashes {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let message: Vec<u8> = (0..self.0).map(|i| (i * i % 251) as u8).collect();
        let bits = hash_bits(cs, &message)?;
        let (short, long) = (sha256(cs, &bits)?, sha512(cs, &bits)?);
        if CS::VALUES {
            assert_eq!(bytes(&short), Sha256::digest(&message)[..]);
            assert_eq!(bytes(&long), Sha512::digest(&message)[..]);
        }
        Ok(())
    }
}

#[test]
fn sha2_computes_sha2() {
    for len in [0, 1, 55, 56, 64, 111, 112, 128, 200] {
        satisfied(&Hashes(len));
    }
}

#[test]
fn sha2_is_pinned() {
    // Steps with no common factor with words, so that all kinds of bits come up.
    assert_pinned(&satisfied(&Hashes(32)), 4_999);
}

struct Poseidons(Vec<Fr>, Tag);

impl Unit for Poseidons {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let inputs = numbers(cs, &self.0)?;
        let out = poseidon::hash(cs, &inputs, self.1)?;
        if CS::VALUES {
            assert_eq!(out.value(), crate::hash::poseidon::hash_plain(&self.0, self.1));
        }
        Ok(())
    }
}

#[test]
fn poseidon_computes_poseidon() {
    for arity in [1, 2, 4, 5, 8, 11] {
        satisfied(&Poseidons((0..arity).map(value).collect(), Tag::Merkle));
    }
    let random = Poseidons(vec![value(3), value(4)], Tag::Random);
    assert_pinned(&satisfied(&random), 1);
}

struct Inserts {
    arity: usize,
    index: usize,
}

impl Unit for Inserts {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let mut children: Vec<_> = (0..self.arity as u64).map(value).collect();
        let all = children.clone();
        let element = num::alloc(cs, Some(children.remove(self.index)))?;
        let siblings = numbers(cs, &children)?;
        let bits = bit::alloc_list(cs, &[self.index as u64], self.arity.ilog2() as usize)?;
        let out = insert(cs, element, &siblings, &bits)?;
        if CS::VALUES {
            assert_eq!(out.iter().map(Num::value).collect::<Vec<_>>(), all);
        }
        Ok(())
    }
}

#[test]
fn insert_puts_the_element_at_its_index() {
    for arity in [2, 4, 8] {
        for index in 0..arity {
            satisfied(&Inserts { arity, index });
        }
    }
}

struct Selects(usize);

impl Unit for Selects {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let list: Vec<_> = (0..16).map(value).collect();
        let numbers = numbers(cs, &list)?;
        let bits = bit::alloc_list(cs, &[self.0 as u64], 4)?;
        let out = select(cs, &numbers, &bits)?;
        if CS::VALUES {
            assert_eq!(out.value(), list[self.0]);
        }
        Ok(())
    }
}

#[test]
fn select_takes_the_element_at_its_index() {
    for index in 0..16 {
        let (shape, _) = satisfied(&Selects(index));
        // 4 bits and 15 picks: spec/snark.md 1.8.
        assert_eq!(shape.constraints(), 4 + 15);
    }
}

/// A level whose index bits and siblings exist already.
struct Given<'a>(&'a Path);

impl Unit for Given<'_> {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let leaf = num::alloc(cs, Some(self.0.leaf))?;
        let mut steps = Vec::new();
        for (arity, level) in self.0.arities.iter().zip(&self.0.levels) {
            let siblings = numbers(cs, &level.siblings)?;
            let index = bit::alloc_list(cs, &[level.index as u64], arity.ilog2() as usize)?;
            steps.push(Step { siblings, index });
        }
        let computed = root(cs, self.0.hash, leaf, &steps)?;
        if CS::VALUES {
            assert_eq!(computed.value(), self.0.root);
        }
        Ok(())
    }
}

/// The part of `spec/snark.md` 2.7 with bits and siblings given: constraints besides the bits, aux besides bits and
/// leaf.
#[test]
fn given_levels_lead_to_the_same_root() {
    let levels = [(NodeHash::Poseidon, 8, 527, 534), (NodeHash::Poseidon, 4, 385, 388)];
    for (hash, arity, constraints, aux) in levels.into_iter().chain([(NodeHash::Sha256, 2, 45_381, 45_334)]) {
        let (shape, _) = satisfied(&Given(&Path::new(hash, &[arity])));
        let bits = arity.ilog2() as usize;
        assert_eq!([shape.constraints(), shape.aux()], [constraints + bits, aux + bits + 1]);
    }
}

struct Labels {
    profile: Profile,
    layer: u32,
    node: u64,
}

impl Unit for Labels {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let decomposed = |cs: &mut CS, node: &Node| {
            let number = num::alloc(cs, Some(from_node(node).unwrap()))?;
            num::to_hash_bits(cs, number)
        };
        let parents: Vec<_> = (0..if self.layer == 1 { 6 } else { 14 }).map(node).collect();
        let id = decomposed(cs, &node(99))?;
        let bits = bit::alloc_list(cs, &[self.node], 64)?;
        let parent_bits = parents.iter().map(|parent| decomposed(cs, parent)).collect::<Result<Vec<_>>>()?;
        let label = label(cs, self.profile, &id, self.layer, &bits, &parent_bits)?;
        if CS::VALUES {
            let expected = label::label(self.profile, &node(99), self.layer, self.node, &repeat(&parents));
            assert_eq!(to_node(&label.value()), expected);
        }
        Ok(())
    }
}

#[test]
fn labels_are_the_labels_of_sealing() {
    satisfied(&Labels { profile: Profile::Filecoin, layer: 1, node: 77 });
    satisfied(&Labels { profile: Profile::Filecoin, layer: 11, node: (1 << 31) - 1 });
    satisfied(&Labels { profile: Profile::Filecash, layer: 5, node: (1 << 29) - 1 });
}

#[derive(Clone)]
struct Path {
    hash: NodeHash,
    arities: Vec<usize>,
    leaf: Fr,
    root: Fr,
    levels: Vec<Level>,
}

impl Path {
    /// A path of arbitrary siblings and the root that it leads to.
    fn new(hash: NodeHash, arities: &[usize]) -> Self {
        let leaf = value(1);
        let mut node = leaf;
        let mut level = |(number, &arity): (usize, &usize)| {
            let index = (3 + 5 * number) % arity;
            let siblings: Vec<_> = (1..arity).map(|i| value((100 * number + i) as u64)).collect();
            let mut children = siblings.clone();
            children.insert(index, node);
            node = match hash {
                NodeHash::Poseidon => crate::hash::poseidon::hash(&children),
                NodeHash::Sha256 => from_node(&sha_node(&to_node(&children[0]), &to_node(&children[1]))).unwrap(),
            };
            Level { siblings, index }
        };
        let levels = arities.iter().enumerate().map(&mut level).collect();
        Self { hash, arities: arities.to_vec(), leaf, root: node, levels }
    }

    fn index(&self) -> u64 {
        self.arities.iter().zip(&self.levels).rev().fold(0, |sum, (a, level)| sum * *a as u64 + level.index as u64)
    }
}

impl Unit for Path {
    fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
        let [leaf, root] = [self.leaf, self.root];
        let leaf = num::alloc(cs, Some(leaf))?;
        let root = num::alloc(cs, Some(root))?;
        path(cs, self.hash, leaf, &self.arities, Some(&self.levels), root)
    }
}

impl Circuit<Fr> for Path {
    fn synthesize<CS: ConstraintSystem<Fr>>(self, cs: &mut CS) -> Result {
        self.read(&mut Plain::new(cs))
    }
}

#[test]
fn paths_lead_to_their_root_and_no_other() {
    for path in [Path::new(NodeHash::Poseidon, &[8, 8, 4, 2]), Path::new(NodeHash::Sha256, &[2, 2, 2])] {
        let (shape, witness) = satisfied(&path);
        assert_eq!(witness.inputs, [Fr::ONE, Fr::from(path.index())]);
        for broken in [
            Path { leaf: path.leaf + Fr::ONE, ..path.clone() },
            Path { root: path.root + Fr::ONE, ..path.clone() },
            Path { levels: with_sibling_changed(&path.levels), ..path.clone() },
            Path { levels: with_index_changed(&path.levels), ..path.clone() },
        ] {
            let mut pass = WitnessPass::new();
            broken.read(&mut pass).unwrap();
            // The very last constraint compares the roots.
            let unsatisfied = shape.evaluate(&pass.finish()).first_unsatisfied();
            assert_eq!(unsatisfied, Some(shape.constraints() - 1));
        }
    }
}

fn with_sibling_changed(levels: &[Level]) -> Vec<Level> {
    let mut levels = levels.to_vec();
    levels[1].siblings[0] += Fr::ONE;
    levels
}

fn with_index_changed(levels: &[Level]) -> Vec<Level> {
    let mut levels = levels.to_vec();
    levels[1].index ^= 1;
    levels
}

#[test]
fn poseidon_paths_are_pinned() {
    assert_pinned(&satisfied(&Path::new(NodeHash::Poseidon, &[8, 4])), 1);
}

#[test]
fn an_unsatisfied_constraint_is_named() {
    let mut path = Path::new(NodeHash::Poseidon, &[8, 2]);
    path.root += Fr::ONE;
    let mut debug = DebugSystem::new();
    debug.enter("challenge", 3);
    path.read(&mut debug).unwrap();
    debug.leave();
    let name = debug.first_unsatisfied().unwrap();
    assert!(name.starts_with("challenge 3, constraint 1 "), "{name}");
}

#[test]
fn blank_circuits_have_a_shape_and_no_witness() {
    fn unit<CS: CircuitSystem>(cs: &mut CS) -> Result {
        let children = [num::alloc(cs, None)?, num::alloc(cs, None)?];
        parent(cs, NodeHash::Poseidon, &children).map(drop)
    }
    let mut recorder = crate::circuit::ShapeRecorder::new();
    unit(&mut recorder).unwrap();
    assert_eq!(recorder.finish().constraints(), 311);
    assert!(matches!(unit(&mut WitnessPass::new()), Err(SynthesisError::AssignmentMissing)));
}

#[test]
fn bellman_proves_our_circuits() {
    let circuit = Path::new(NodeHash::Poseidon, &[2, 2]);
    let mut rng = rand_xorshift::XorShiftRng::from_seed([7; 16]);
    let params = generate_random_parameters::<blstrs::Bls12, _, _>(circuit.clone(), &mut rng).unwrap();
    let proof = create_proof(circuit.clone(), &params, Fr::from(5), Fr::from(6)).unwrap();
    let key = prepare_verifying_key(&params.vk);
    let index = circuit.index();
    assert!(verify_proof(&key, &proof, &[Fr::from(index)]).is_ok());
    assert!(verify_proof(&key, &proof, &[Fr::from(index ^ 1)]).is_err());
}

#[test]
fn canonical_bits_come_back() {
    struct Bits(Fr);
    impl Unit for Bits {
        fn read<CS: CircuitSystem>(&self, cs: &mut CS) -> Result {
            let number = num::alloc(cs, Some(self.0))?;
            let bits = num::to_hash_bits(cs, number)?;
            let back = num::from_hash_bits(cs, &bits)?;
            if CS::VALUES {
                assert_eq!(bytes(&bits), self.0.to_repr());
                assert_eq!(back.value(), from_node(&trim(self.0.to_repr())).unwrap());
            }
            Ok(())
        }
    }
    for value in [Fr::ZERO, Fr::ONE, -Fr::ONE, value(8)] {
        assert_pinned(&satisfied(&Bits(value)), 1);
    }
}
