//! The digest, counts and densities of a circuit of any size, hashed while it is read and stored nowhere.
//!
//! Format: `spec/snark.md` 0.3.

use bellman::SynthesisError;
use ff::PrimeField;
use sha2::{Digest, Sha256};

use super::{CircuitSystem, Lc, Row};
use crate::circuit::shape::{Column, canonicalise};
use crate::field::Fr;

/// Hashes a circuit's constraints.
pub struct DigestRecorder {
    inputs: u32,
    aux: u32,
    constraints: u32,
    non_zeros: [u64; 3],
    /// Bitmaps of the aux variables that occur in A and in B.
    dense: [Vec<u64>; 2],
    hasher: Sha256,
    bytes: Vec<u8>,
    row: Row,
}

/// What [`DigestRecorder`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Inputs, with ONE.
    pub inputs: usize,
    /// Aux variables.
    pub aux: usize,
    /// Constraints of the circuit.
    pub constraints: usize,
    /// Terms in A, B and C.
    pub non_zeros: [u64; 3],
    /// Aux variables that occur in A, in B.
    pub dense: [usize; 2],
    /// The digest of `spec/snark.md` 0.3.
    pub digest: [u8; 32],
}

impl Default for DigestRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl DigestRecorder {
    /// A recorder that has seen only ONE.
    pub fn new() -> Self {
        Self {
            inputs: 1,
            aux: 0,
            constraints: 0,
            non_zeros: [0; 3],
            dense: [Vec::new(), Vec::new()],
            hasher: Sha256::new(),
            bytes: Vec::new(),
            row: Row::default(),
        }
    }

    /// What was seen.
    pub fn finish(mut self) -> Summary {
        for count in [self.inputs, self.aux, self.constraints] {
            self.hasher.update(count.to_le_bytes());
        }
        Summary {
            inputs: self.inputs as usize,
            aux: self.aux as usize,
            constraints: self.constraints as usize,
            non_zeros: self.non_zeros,
            dense: self.dense.map(|map| map.iter().map(|word| word.count_ones() as usize).sum()),
            digest: self.hasher.finalize().into(),
        }
    }
}

impl CircuitSystem for DigestRecorder {
    type Wire = Column;
    const BUILDS: bool = true;
    const VALUES: bool = false;

    fn alloc(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        self.aux += 1;
        if self.aux % 64 == 1 {
            self.dense.iter_mut().for_each(|map| map.push(0));
        }
        Ok(Column::aux(self.aux as usize - 1))
    }

    fn alloc_input(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        self.inputs += 1;
        Ok(Column::input(self.inputs as usize - 1))
    }

    fn alloc_bits(&mut self, _bits: u64, wires: &mut [Column]) -> Result<(), SynthesisError> {
        for wire in wires {
            *wire = self.alloc(None)?;
        }
        Ok(())
    }

    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {
        let Row { a, b, c } = self.row.build(build);
        self.bytes.clear();
        for (matrix, lc) in [a, b, c].into_iter().enumerate() {
            canonicalise(&mut lc.0);
            self.non_zeros[matrix] += lc.0.len() as u64;
            self.bytes.extend((lc.0.len() as u32).to_le_bytes());
            for (column, coefficient) in &lc.0 {
                let index = column.index();
                if column.is_aux() && matrix < 2 {
                    self.dense[matrix][index / 64] |= 1 << (index % 64);
                }
                self.bytes.push(u8::from(column.is_aux()));
                self.bytes.extend((index as u32).to_le_bytes());
                self.bytes.extend(coefficient.to_repr());
            }
        }
        self.hasher.update(&self.bytes);
        self.constraints += 1;
    }
}
