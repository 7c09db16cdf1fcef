//! Sparse rows: terms of all rows one after the other, coefficients as numbers in a dictionary.

use std::collections::HashMap;

use ff::{Field, PrimeField};

use super::Column;
use crate::field::Fr;

/// Rows of terms; no row has a column twice or a zero coefficient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    ends: Vec<u32>,
    /// Columns of the circuit, or places in a block.
    columns: Vec<u32>,
    coefficients: Vec<u32>,
    /// Rows with coefficients beyond [`SMALL`], ascending.
    wide: Vec<u32>,
}

impl Rows {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn non_zeros(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lists = [&self.ends, &self.columns, &self.coefficients, &self.wide];
        lists.into_iter().map(|list| size_of_val(&list[..])).sum()
    }

    /// All rows as columns, coefficients, and whether every coefficient is [`SMALL`].
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u32], &[u32], bool)> {
        let mut wide = self.wide.iter().peekable();
        (0..self.len()).map(move |row| {
            let (columns, coefficients) = self.row(row);
            (columns, coefficients, wide.next_if_eq(&&(row as u32)).is_none())
        })
    }

    /// Columns and coefficients of a row.
    #[inline]
    pub(super) fn row(&self, row: usize) -> (&[u32], &[u32]) {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        let range = start..self.ends[row] as usize;
        (&self.columns[range.clone()], &self.coefficients[range])
    }

    /// Adds a row; the terms are sorted and summed in place.
    pub(super) fn push(&mut self, terms: &mut Vec<(Column, Fr)>, dictionary: &mut Dictionary) {
        canonicalise(terms);
        let mut greatest = 0;
        for (column, coefficient) in terms.iter() {
            let number = dictionary.number(coefficient);
            greatest = greatest.max(number);
            self.columns.push(column.0);
            self.coefficients.push(number);
        }
        if greatest as usize >= SMALL.len() {
            self.wide.push(self.ends.len() as u32);
        }
        self.ends.push(self.columns.len() as u32);
    }

    /// Renames all columns.
    pub(super) fn rename(&mut self, name: impl Fn(Column) -> u32) {
        self.columns.iter_mut().for_each(|column| *column = name(Column(*column)));
    }

    /// Gives back what was reserved for more rows.
    pub(super) fn shrink(&mut self) {
        self.ends.shrink_to_fit();
        self.columns.shrink_to_fit();
        self.coefficients.shrink_to_fit();
        self.wide.shrink_to_fit();
    }
}

/// Every coefficient once. The first ones are those of bits.
#[derive(Clone, Debug)]
pub(super) struct Dictionary {
    values: Vec<Fr>,
    numbers: HashMap<[u8; 32], u32>,
}

/// The first entries of every dictionary.
pub(super) const SMALL: [i64; 3] = [1, -1, 2];

impl Default for Dictionary {
    fn default() -> Self {
        let values = vec![Fr::ONE, -Fr::ONE, Fr::from(2)];
        let numbers = values.iter().map(Fr::to_repr).zip(0..).collect();
        Self { values, numbers }
    }
}

impl Dictionary {
    pub(super) fn get(&self, number: u32) -> &Fr {
        &self.values[number as usize]
    }

    /// The canonical bytes of every coefficient.
    pub(super) fn reprs(&self) -> Vec<[u8; 32]> {
        self.values.iter().map(Fr::to_repr).collect()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.values.len() * (2 * size_of::<Fr>() + size_of::<u32>())
    }

    fn number(&mut self, value: &Fr) -> u32 {
        if let Some(number) = self.values[..SMALL.len()].iter().position(|small| small == value) {
            return number as u32;
        }
        let next = self.values.len() as u32;
        let number = *self.numbers.entry(value.to_repr()).or_insert(next);
        if number == next {
            self.values.push(*value);
        }
        number
    }
}

/// Sorts terms by column, sums repeated columns, drops zeros.
pub(in crate::circuit) fn canonicalise(terms: &mut Vec<(Column, Fr)>) {
    terms.sort_unstable_by_key(|(column, _)| *column);
    let mut kept = 0;
    for index in 0..terms.len() {
        let (column, coefficient) = terms[index];
        if kept > 0 && terms[kept - 1].0 == column {
            terms[kept - 1].1 += coefficient;
        } else {
            if kept > 0 && terms[kept - 1].1 == Fr::ZERO {
                kept -= 1;
            }
            terms[kept] = (column, coefficient);
            kept += 1;
        }
    }
    if kept > 0 && terms[kept - 1].1 == Fr::ZERO {
        kept -= 1;
    }
    terms.truncate(kept);
}
