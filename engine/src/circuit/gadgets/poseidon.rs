//! Poseidon as a circuit: the reference's older form, in which only S-boxes make variables.
//!
//! Between S-boxes the state is a matrix: element i is `Σ_k rows[i][k] · basis[k]` over the results of earlier S-boxes.
//! Every S-box result already holds its round's constant (`l · x⁴ = x⁵ − k`), so the constant 1 is in the basis for the
//! first round only, where element 0 is still the tag. Rounds and constants: [`Constants`], optimised form.
//!
//! Source: `spec/snark.md` 1.9.

use bellman::SynthesisError;
use ff::Field;

use super::blocks;
use super::num::{self, Num};
use crate::circuit::cs::{CircuitSystem, Lc, Wire};
use crate::circuit::shape::Column;
use crate::field::Fr;
use crate::hash::poseidon_constants::{Constants, HALF_FULL_ROUNDS, Sparse, constants};

pub use crate::hash::poseidon_constants::Tag;

/// The state between two rounds. `rows` is filled only where constraints are built.
struct State {
    values: Vec<Fr>,
    basis: Vec<Column>,
    rows: Vec<Vec<Fr>>,
}

/// The hash of 1 to 36 numbers, as a block of the circuit.
pub fn hash<CS: CircuitSystem>(
    cs: &mut CS,
    inputs: &[Num<CS::Wire>],
    tag: Tag,
) -> Result<Num<CS::Wire>, SynthesisError> {
    if !CS::BLOCKS {
        return rounds(cs, inputs, tag);
    }
    let key = [blocks::POSEIDON, inputs.len() as u64, u64::from(tag == Tag::Random)];
    let outside: Vec<_> = inputs.iter().map(|input| input.wire).collect();
    let results = cs.block(&key, &outside, |cs, names| {
        let inputs: Vec<_> = names.iter().copied().map(Num::without_value).collect();
        Ok(vec![rounds(cs, &inputs, tag)?.wire])
    })?;
    Ok(Num::without_value(results[0]))
}

fn rounds<CS: CircuitSystem>(cs: &mut CS, inputs: &[Num<CS::Wire>], tag: Tag) -> Result<Num<CS::Wire>, SynthesisError> {
    let constants = constants(inputs.len(), tag);
    let mut state = first_round(cs, constants, inputs)?;
    let (pre_sparse_post, posts) = constants.post[1..].split_last().expect("there are four vectors of post constants");
    for post in posts {
        state.full_round(cs, Some(post))?;
        state.multiply::<CS>(&constants.mds);
    }
    state.full_round(cs, Some(pre_sparse_post))?;
    state.multiply::<CS>(&constants.pre_sparse);
    for (key, matrix) in constants.partial_keys.iter().zip(&constants.sparse) {
        state.partial_round(cs, key, matrix)?;
    }
    for post in &constants.post2 {
        state.full_round(cs, Some(post))?;
        state.multiply::<CS>(&constants.mds);
    }
    state.full_round(cs, None)?;
    state.multiply::<CS>(&constants.mds);

    let out = num::alloc(cs, Some(state.values[1]))?;
    cs.constrain(|a, b, c| {
        state.add_element(1, a);
        b.plus(Column::ONE);
        c.plus(out.column());
    });
    Ok(out)
}

/// The first full round: the tag's element is a constant and the others are variables, so neither needs a number of its
/// own before the S-box.
fn first_round<CS: CircuitSystem>(
    cs: &mut CS,
    constants: &Constants,
    inputs: &[Num<CS::Wire>],
) -> Result<State, SynthesisError> {
    const { assert!(HALF_FULL_ROUNDS == 4) };
    let post = &constants.post[0];
    let tag = quintic(constants.tag + constants.pre[0]) + post[0];
    let mut state = State { values: vec![tag], basis: vec![Column::ONE], rows: Vec::new() };
    for ((input, pre), post) in inputs.iter().zip(&constants.pre[1..]).zip(&post[1..]) {
        let linear = |lc: &mut Lc| {
            lc.plus(input.column());
            lc.add(Column::ONE, *pre);
        };
        let out = quintic_gadget(cs, linear, input.value + pre, Some(post))?;
        state.push(out);
    }
    state.identity::<CS>();
    if let Some(first) = state.rows.first_mut() {
        first[0] = tag;
    }
    state.multiply::<CS>(&constants.mds);
    Ok(state)
}

/// x⁵.
fn quintic(x: Fr) -> Fr {
    x.square().square() * x
}

/// `new x2`: `x · x = x2`; `new x4`: `x2 · x2 = x4`; `new x5`: `x · x4 = x5 − k`, for a linear combination x.
fn quintic_gadget<CS: CircuitSystem>(
    cs: &mut CS,
    x: impl Fn(&mut Lc),
    value: Fr,
    constant: Option<&Fr>,
) -> Result<Num<CS::Wire>, SynthesisError> {
    let square = num::alloc(cs, Some(value.square()))?;
    cs.constrain(|a, b, c| {
        x(a);
        x(b);
        c.plus(square.column());
    });
    let fourth = num::alloc(cs, Some(square.value.square()))?;
    cs.constrain(|a, b, c| {
        a.plus(square.column());
        b.plus(square.column());
        c.plus(fourth.column());
    });
    let fifth = num::alloc(cs, Some(fourth.value * value + constant.unwrap_or(&Fr::ZERO)))?;
    cs.constrain(|a, b, c| {
        x(a);
        b.plus(fourth.column());
        c.plus(fifth.column());
        if let Some(constant) = constant {
            c.add(Column::ONE, -constant);
        }
    });
    Ok(fifth)
}

impl State {
    fn push<W: Wire>(&mut self, number: Num<W>) {
        self.values.push(number.value);
        self.basis.push(number.column());
    }

    /// Makes element i the variable `basis[i]`.
    fn identity<CS: CircuitSystem>(&mut self) {
        if CS::BUILDS {
            let width = self.basis.len();
            let unit = |i| (0..width).map(|k| Fr::from(u64::from(i == k))).collect();
            self.rows = (0..width).map(unit).collect();
        }
    }

    /// Adds element `i` to a combination.
    fn add_element(&self, i: usize, lc: &mut Lc) {
        self.rows[i].iter().zip(&self.basis).for_each(|(coefficient, column)| lc.add(*column, *coefficient));
    }

    /// The S-box on element `i`: `new l`: `L · 1 = l`, then its fifth power.
    fn quintic<CS: CircuitSystem>(
        &self,
        cs: &mut CS,
        i: usize,
        constant: Option<&Fr>,
    ) -> Result<Num<CS::Wire>, SynthesisError> {
        let linear = num::alloc(cs, Some(self.values[i]))?;
        cs.constrain(|a, b, c| {
            self.add_element(i, a);
            b.plus(Column::ONE);
            c.plus(linear.column());
        });
        quintic_gadget(cs, |lc| lc.plus(linear.column()), linear.value, constant)
    }

    /// S-boxes on all elements.
    fn full_round<CS: CircuitSystem>(&mut self, cs: &mut CS, post: Option<&Vec<Fr>>) -> Result<(), SynthesisError> {
        let mut next = Self { values: Vec::new(), basis: Vec::new(), rows: Vec::new() };
        for i in 0..self.values.len() {
            next.push(self.quintic(cs, i, post.map(|post| &post[i]))?);
        }
        next.identity::<CS>();
        *self = next;
        Ok(())
    }

    /// The S-box on element 0, then a sparse matrix.
    fn partial_round<CS: CircuitSystem>(
        &mut self,
        cs: &mut CS,
        key: &Fr,
        matrix: &Sparse,
    ) -> Result<(), SynthesisError> {
        let first = self.quintic(cs, 0, Some(key))?;
        self.values[0] = first.value;
        let sum = self.values.iter().zip(&matrix.w).map(|(value, w)| value * w).sum();
        self.values[1..].iter_mut().zip(&matrix.v).for_each(|(value, v)| *value += first.value * v);
        self.values[0] = sum;
        if CS::BUILDS {
            self.basis.push(first.column());
            let last = self.basis.len() - 1;
            let (head, tail) = self.rows.split_at_mut(1);
            head[0] = (0..last).map(|k| tail.iter().zip(&matrix.w[1..]).map(|(row, w)| row[k] * w).sum()).collect();
            head[0].push(matrix.w[0]);
            tail.iter_mut().zip(&matrix.v).for_each(|(row, v)| row.push(*v));
        }
        Ok(())
    }

    /// `state · matrix`.
    fn multiply<CS: CircuitSystem>(&mut self, matrix: &[Vec<Fr>]) {
        let width = self.values.len();
        self.values =
            (0..width).map(|j| self.values.iter().zip(matrix).map(|(value, row)| value * row[j]).sum()).collect();
        if CS::BUILDS {
            let element = |j: usize, k: usize| self.rows.iter().zip(matrix).map(|(row, m)| row[k] * m[j]).sum();
            self.rows = (0..width).map(|j| (0..self.basis.len()).map(|k| element(j, k)).collect()).collect();
        }
    }
}
