//! What circuits are written over, and the readers of a circuit.
//!
//! A circuit makes variables (inputs and aux, each kind numbered in order) and constraints `⟨A, z⟩ · ⟨B, z⟩ = ⟨C, z⟩`.
//! Over 98 % of a PoRep's variables are single bits that come from 32-bit or 64-bit words, and the prover needs their
//! values only: no names of variables, no linear combinations. So a circuit is generic over what names a variable
//! ([`Wire`]), allocates bits by words, and describes a constraint in a closure that only some readers call:
//!
//! | Reader | Values | Constraints | Gives |
//! |---|---|---|---|
//! | [`ShapeRecorder`] | ignored | yes | [`Shape`](super::Shape) |
//! | [`DigestRecorder`] | ignored | yes | the digest and counts, in constant memory |
//! | [`WitnessPass`] | yes | never built | [`Witness`](super::Witness) |
//! | [`DebugSystem`] | yes | yes | both, and the name of what does not hold |
//! | [`Plain`] | yes | yes | whatever bellman's own system gives |
//!
//! The first four also implement bellman's `ConstraintSystem`, so they read its gadgets too.
//! Source: `spec/snark.md` 0.1, 1.13, 2.6 and 6.2.

mod debug;
mod digest;
mod plain;
mod shape_recorder;
mod witness_pass;

use bellman::{Index, SynthesisError, Variable};
use ff::Field;

use super::shape::Column;
use crate::field::Fr;

pub use debug::DebugSystem;
pub use digest::DigestRecorder;
pub use plain::Plain;
pub use shape_recorder::ShapeRecorder;
pub use witness_pass::WitnessPass;

/// What a reader calls a variable: its [`Column`], or nothing where no constraint is ever built.
pub trait Wire: Copy + Default {
    /// The variable's column. Readers that build no constraints do not ask.
    fn column(self) -> Column;
}

impl Wire for Column {
    fn column(self) -> Column {
        self
    }
}

impl Wire for () {
    fn column(self) -> Column {
        Column::ONE
    }
}

/// What circuits are written over.
pub trait CircuitSystem {
    /// What a variable is called.
    type Wire: Wire;
    /// Whether constraints are looked at. Gadgets keep symbolic state only then.
    const BUILDS: bool;
    /// Whether values are looked at. Gadgets compute costly values only then.
    const VALUES: bool;
    /// Whether [`block`](Self::block) does more than to read its body.
    const BLOCKS: bool = false;

    /// Makes an aux variable.
    ///
    /// # Errors
    /// [`SynthesisError::AssignmentMissing`] where values are needed and there is none.
    fn alloc(&mut self, value: Option<Fr>) -> Result<Self::Wire, SynthesisError>;

    /// Makes an input.
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc).
    fn alloc_input(&mut self, value: Option<Fr>) -> Result<Self::Wire, SynthesisError>;

    /// Makes an aux variable for each of `wires`, at most 64, with values 0 or 1: the bits of `bits` from the lowest.
    ///
    /// # Errors
    /// As [`alloc`](Self::alloc).
    fn alloc_bits(&mut self, bits: u64, wires: &mut [Self::Wire]) -> Result<(), SynthesisError>;

    /// Makes the constraint `A · B = C`; `build` is handed the three combinations, empty.
    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc));

    /// Reads a part of a circuit that is the same wherever it occurs: a block.
    ///
    /// `body` is handed names for `outside`, makes variables and constraints that depend on these and on `key` alone,
    /// no inputs, and returns the names of its results. A reader may leave out the body where it knows the block
    /// already. The first word of `key` tells kinds of blocks apart.
    ///
    /// # Errors
    /// The body's.
    fn block(
        &mut self,
        _key: &[u64],
        outside: &[Self::Wire],
        body: impl FnOnce(&mut Self, &[Self::Wire]) -> Result<Vec<Self::Wire>, SynthesisError>,
    ) -> Result<Vec<Self::Wire>, SynthesisError> {
        body(self, outside)
    }

    /// Names what follows, for error messages.
    fn enter(&mut self, _name: &'static str, _index: usize) {}

    /// Ends what the last [`enter`](Self::enter) named.
    fn leave(&mut self) {}
}

/// A linear combination under construction: terms in any order, repetitions allowed.
#[derive(Clone, Debug, Default)]
pub struct Lc(pub(super) Vec<(Column, Fr)>);

impl Lc {
    /// Adds `coefficient · column`.
    pub fn add(&mut self, column: Column, coefficient: Fr) {
        self.0.push((column, coefficient));
    }

    /// Adds `column`.
    pub fn plus(&mut self, column: Column) {
        self.add(column, Fr::ONE);
    }

    /// Subtracts `column`.
    pub fn minus(&mut self, column: Column) {
        self.add(column, -Fr::ONE);
    }

    /// The terms as they were added.
    pub fn terms(&self) -> &[(Column, Fr)] {
        &self.0
    }

    /// Makes the combination empty and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds all terms of another combination.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }
}

/// Scratch space for one constraint.
#[derive(Debug, Default)]
struct Row {
    a: Lc,
    b: Lc,
    c: Lc,
}

impl Row {
    fn build(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) -> &mut Self {
        self.a.clear();
        self.b.clear();
        self.c.clear();
        build(&mut self.a, &mut self.b, &mut self.c);
        self
    }
}

/// The column of one of bellman's variables.
fn column(variable: Variable) -> Column {
    match variable.get_unchecked() {
        Index::Input(index) => Column::input(index),
        Index::Aux(index) => Column::aux(index),
    }
}

/// The variable in bellman's terms.
fn variable(column: Column) -> Variable {
    Variable::new_unchecked(match column.is_aux() {
        false => Index::Input(column.index()),
        true => Index::Aux(column.index()),
    })
}

/// A row from bellman's closures.
macro_rules! bellman_row {
    ($la:expr, $lb:expr, $lc:expr) => {
        |a: &mut Lc, b: &mut Lc, c: &mut Lc| {
            let zero = bellman::LinearCombination::<Fr>::zero;
            for (lc, source) in [(a, $la(zero())), (b, $lb(zero())), (c, $lc(zero()))] {
                source.as_ref().iter().for_each(|(variable, coefficient)| lc.add(column(*variable), *coefficient));
            }
        }
    };
}
use bellman_row;
