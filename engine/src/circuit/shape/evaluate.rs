//! `A·z`, `B·z`, `C·z`: every linear combination of a circuit under a witness.
//!
//! Blocks of hashes have only bits among their variables and mostly 1, −1 and 2 among their coefficients, so a block's
//! values are gathered into a bitmap that fits the first cache, and its rows are sums of small integers.

use std::ops::Range;

use ff::Field;
use rayon::prelude::*;

use super::rows::{Dictionary, Rows, SMALL};
use super::{Block, Column, Evaluations, Row, Shape, Witness};
use crate::circuit::values::{Class, Values};
use crate::field::Fr;

/// Rows that one task computes, or a little more.
const TASK_ROWS: usize = 1 << 15;

/// Tasks of which a thread's results are collected before they are put together.
const TASKS_OF_A_THREAD: usize = 8;

/// One of the three matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of R1CS")]
pub enum Letter {
    A,
    B,
    C,
}

impl Letter {
    const ALL: [Self; 3] = [Self::A, Self::B, Self::C];
}

/// Takes values one after the other.
trait Sink {
    fn small(&mut self, value: i64);
    fn wide(&mut self, value: Fr);
}

impl Sink for Values {
    fn small(&mut self, value: i64) {
        self.push_small(value);
    }

    fn wide(&mut self, value: Fr) {
        self.push(value);
    }
}

/// Fills a slice.
struct Fill<'a>(std::slice::IterMut<'a, Fr>);

impl Sink for Fill<'_> {
    fn small(&mut self, value: i64) {
        self.wide(small(value));
    }

    fn wide(&mut self, value: Fr) {
        if let Some(place) = self.0.next() {
            *place = value;
        }
    }
}

impl Shape {
    /// `A·z`, `B·z`, `C·z` over the circuit's own constraints.
    pub fn evaluate(&self, witness: &Witness) -> Evaluations {
        let evaluate = |rows| {
            let mut out: [Values; 3] = Default::default();
            self.evaluate_rows(rows, witness, Letter::ALL, &mut out);
            out
        };
        let mut all: [Values; 3] = Default::default();
        // Some at a time, so that nothing is there twice.
        for tasks in self.tasks().chunks(TASKS_OF_A_THREAD * rayon::current_num_threads()) {
            let pieces: Vec<_> = tasks.par_iter().cloned().map(evaluate).collect();
            for piece in pieces {
                all.iter_mut().zip(piece).for_each(|(all, piece)| all.append(piece));
            }
        }
        let [a, b, c] = all;
        Evaluations { a, b, c }
    }

    /// One matrix times z into `out`, an element for each of the circuit's own constraints.
    ///
    /// # Panics
    /// Unless `out` is of that length.
    pub fn evaluate_into(&self, letter: Letter, witness: &Witness, out: &mut [Fr]) {
        assert_eq!(out.len(), self.constraints, "an element for each constraint");
        let (tasks, mut rest) = (self.tasks(), out);
        let mut pieces = Vec::with_capacity(tasks.len());
        for rows in tasks {
            let (piece, later) = rest.split_at_mut(rows.len());
            pieces.push((rows, piece));
            rest = later;
        }
        pieces.into_par_iter().for_each(|(rows, piece)| {
            self.evaluate_rows(rows, witness, [letter], &mut [Fill(piece.iter_mut())]);
        });
    }

    /// One matrix times z, piece by piece: `write` is given the number of the first constraint of a piece, and the values,
    /// by several threads.
    ///
    /// # Errors
    /// What `write` says.
    pub fn evaluate_pieces<E: Send>(
        &self,
        letter: Letter,
        witness: &Witness,
        write: impl Fn(usize, &[Fr]) -> Result<(), E> + Sync,
    ) -> Result<(), E> {
        self.tasks().into_par_iter().try_for_each_init(Vec::new, |piece, rows| {
            piece.resize(rows.len(), Fr::ZERO);
            self.evaluate_rows(rows.clone(), witness, [letter], &mut [Fill(piece.iter_mut())]);
            write(rows.start, piece)
        })
    }

    /// All rows in ranges that cut no block.
    fn tasks(&self) -> Vec<Range<usize>> {
        let (mut tasks, mut start) = (Vec::new(), 0);
        while start < self.constraints {
            let mut end = (start + TASK_ROWS).min(self.constraints);
            if end < self.constraints {
                let segment = self.segment(end);
                if segment.block.is_some() && segment.first < end {
                    end = segment.rows.end;
                }
            }
            tasks.push(start..end);
            start = end;
        }
        tasks
    }

    fn evaluate_rows<const N: usize>(
        &self,
        rows: Range<usize>,
        witness: &Witness,
        letters: [Letter; N],
        out: &mut [impl Sink; N],
    ) {
        for segment in self.segments(rows) {
            match &segment.block {
                None => {
                    for row in segment.rows.clone() {
                        letters.iter().zip(out.iter_mut()).for_each(|(letter, out)| {
                            single_row(segment.row(*letter as usize, row), &self.dictionary, witness).push_to(out);
                        });
                    }
                }
                Some(block) => {
                    let values = BlockValues::gather(block, witness);
                    letters.iter().zip(out.iter_mut()).for_each(|(letter, out)| {
                        values.evaluate(&segment.source[*letter as usize], &self.dictionary, out);
                    });
                }
            }
        }
    }
}

/// A sum in two parts: a small integer, and the rest if there is one.
#[derive(Default)]
struct Sum {
    small: i64,
    wide: Option<Fr>,
}

impl Sum {
    fn add(&mut self, value: Fr) {
        self.wide = Some(self.wide.map_or(value, |sum| sum + value));
    }

    /// Adds a coefficient times 1.
    #[inline]
    fn add_coefficient(&mut self, number: u32, dictionary: &Dictionary) {
        match SMALL.get(number as usize) {
            Some(small) => self.small += small,
            None => self.add(*dictionary.get(number)),
        }
    }

    /// Adds a coefficient times a value.
    fn add_product(&mut self, number: u32, value: &Fr, dictionary: &Dictionary) {
        self.add(if number == 0 { *value } else { dictionary.get(number) * value });
    }

    #[inline]
    fn push_to(self, sink: &mut impl Sink) {
        match self.wide {
            None => sink.small(self.small),
            Some(wide) => sink.wide(wide + small(self.small)),
        }
    }
}

fn small(value: i64) -> Fr {
    let magnitude = Fr::from(value.unsigned_abs());
    if value < 0 { -magnitude } else { magnitude }
}

fn single_row(row: Row<'_>, dictionary: &Dictionary, witness: &Witness) -> Sum {
    let mut sum = Sum::default();
    for (column, number) in row {
        if !column.is_aux() {
            match column.index() {
                0 => sum.add_coefficient(number, dictionary),
                index => sum.add_product(number, &witness.inputs[index], dictionary),
            }
            continue;
        }
        match witness.aux.class(column.index()) {
            Class::Zero => {}
            Class::One => sum.add_coefficient(number, dictionary),
            Class::Wide => sum.add_product(number, &witness.aux.get(column.index()), dictionary),
        }
    }
    sum
}

/// The values of a block's variables by place.
enum BlockValues {
    Bits(Vec<u64>),
    Wide(Vec<Fr>),
}

impl BlockValues {
    fn gather(block: &Block<'_>, witness: &Witness) -> Self {
        let (own, outside) = (1 + block.outside.len(), block.outside);
        let places = own + block.template.aux;
        let mut bits = vec![0; places.div_ceil(64) + 1];
        bits[0] = 1;
        for (column, place) in outside.iter().zip(1..) {
            match witness.class(*column) {
                Class::Wide => return Self::gather_wide(block, witness),
                class => bits[place / 64] |= u64::from(class == Class::One) << (place % 64),
            }
        }
        for start in (0..block.template.aux).step_by(64) {
            let (ones, wide) = witness.aux.read(block.first_aux + start, (block.template.aux - start).min(64));
            if wide != 0 {
                return Self::gather_wide(block, witness);
            }
            let (word, shift) = ((own + start) / 64, (own + start) % 64);
            bits[word] |= ones << shift;
            // In two steps, for a shift of 64 is none.
            bits[word + 1] |= ones >> 1 >> (63 - shift);
        }
        Self::Bits(bits)
    }

    fn gather_wide(block: &Block<'_>, witness: &Witness) -> Self {
        let places = 1 + block.outside.len() + block.template.aux;
        Self::Wide((0..places).map(|place| witness.value(block.column(place))).collect())
    }

    fn evaluate(&self, rows: &Rows, dictionary: &Dictionary, out: &mut impl Sink) {
        for (places, numbers, is_small) in rows.iter() {
            let terms = places.iter().map(|place| *place as usize).zip(numbers);
            let mut sum = Sum::default();
            match self {
                Self::Bits(bits) => {
                    let bit = |place: usize| bits[place / 64] >> (place % 64) & 1;
                    if is_small {
                        // Without branches, for the bits are as good as random.
                        sum.small = terms.map(|(place, number)| bit(place) as i64 * SMALL[*number as usize]).sum();
                    } else {
                        let ones = terms.filter(|(place, _)| bit(*place) == 1);
                        ones.for_each(|(_, number)| sum.add_coefficient(*number, dictionary));
                    }
                }
                Self::Wide(values) => {
                    terms.for_each(|(place, number)| sum.add_product(*number, &values[place], dictionary));
                }
            }
            sum.push_to(out);
        }
    }
}

impl Witness {
    /// What a variable's value is.
    fn class(&self, column: Column) -> Class {
        match column.is_aux() {
            true => self.aux.class(column.index()),
            false => match &self.inputs[column.index()] {
                value if *value == Fr::ZERO => Class::Zero,
                value if *value == Fr::ONE => Class::One,
                _ => Class::Wide,
            },
        }
    }

    /// The value of a variable.
    fn value(&self, column: Column) -> Fr {
        if column.is_aux() { self.aux.get(column.index()) } else { self.inputs[column.index()] }
    }
}
