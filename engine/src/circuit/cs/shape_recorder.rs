//! Records the constraints of a circuit; values are never computed, so a blank circuit will do (`spec/snark.md` 2.6).
//!
//! A block is read once and becomes a template; where it comes again, with other outside variables, only an instance
//! is noted. Outside variables that coincide in one place and not in another make different templates.

use std::collections::HashMap;

use bellman::{ConstraintSystem, LinearCombination, SynthesisError, Variable};

use super::{CircuitSystem, Lc, Row, bellman_row, column, variable};
use crate::circuit::shape::{Column, Shape, Template};
use crate::field::Fr;

/// Reads a circuit's shape.
#[derive(Debug, Default)]
pub struct ShapeRecorder {
    shape: Shape,
    row: Row,
    /// The template that is being read.
    open: Option<Template>,
    /// Templates by key and coincidences of outside variables.
    known: HashMap<Vec<u64>, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    template: usize,
    /// The results as the template calls them.
    results: Vec<Column>,
}

impl ShapeRecorder {
    /// A recorder that has seen only ONE.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was recorded.
    pub fn finish(self) -> Shape {
        self.shape
    }
}

impl CircuitSystem for ShapeRecorder {
    type Wire = Column;
    const BUILDS: bool = true;
    const VALUES: bool = false;
    const BLOCKS: bool = true;

    fn alloc(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        Ok(self.push_aux())
    }

    fn alloc_input(&mut self, _value: Option<Fr>) -> Result<Column, SynthesisError> {
        debug_assert!(self.open.is_none(), "blocks make no inputs");
        Ok(self.shape.push_input())
    }

    fn alloc_bits(&mut self, _bits: u64, wires: &mut [Column]) -> Result<(), SynthesisError> {
        wires.fill_with(|| self.push_aux());
        Ok(())
    }

    fn constrain(&mut self, build: impl FnOnce(&mut Lc, &mut Lc, &mut Lc)) {
        let Row { a, b, c } = self.row.build(build);
        match &mut self.open {
            Some(template) => self.shape.push_template_constraint(template, [&mut a.0, &mut b.0, &mut c.0]),
            None => self.shape.push_constraint(&mut a.0, &mut b.0, &mut c.0),
        }
    }

    fn block(
        &mut self,
        key: &[u64],
        outside: &[Column],
        body: impl FnOnce(&mut Self, &[Column]) -> Result<Vec<Column>, SynthesisError>,
    ) -> Result<Vec<Column>, SynthesisError> {
        if self.open.is_some() {
            // A block inside a block is part of it.
            return body(self, outside);
        }
        let Slots { slots, distinct } = Slots::new(outside);
        let mut key = key.to_vec();
        if distinct.len() < outside.len() {
            key.extend(slots.iter().map(|slot| *slot as u64));
        }
        let known = match self.known.get(&key) {
            Some(known) => known.clone(),
            None => {
                self.open = Some(Template::new(distinct.len()));
                let names: Vec<_> = slots.into_iter().map(Template::outside).collect();
                let results = body(self, &names)?;
                let template = self.shape.push_template(self.open.take().unwrap_or_default());
                self.known.entry(key).or_insert(Known { template, results }).clone()
            }
        };
        let first = self.shape.push_block(known.template, &distinct);
        let result = |column: &Column| match column.is_aux() {
            true => Column::aux(first + column.index()),
            false => column.index().checked_sub(1).map_or(Column::ONE, |slot| distinct[slot]),
        };
        Ok(known.results.iter().map(result).collect())
    }
}

impl ShapeRecorder {
    fn push_aux(&mut self) -> Column {
        match &mut self.open {
            Some(template) => template.push_aux(),
            None => self.shape.push_aux(),
        }
    }
}

/// The distinct ones of some columns, in the order of their first places, and for each column which it is.
struct Slots {
    slots: Vec<usize>,
    distinct: Vec<Column>,
}

impl Slots {
    fn new(columns: &[Column]) -> Self {
        let mut order: Vec<_> = columns.iter().copied().zip(0..).collect();
        order.sort_unstable();
        // The first place of each column, then slots in the order of places.
        let mut first = vec![0; columns.len()];
        for pair in 0..order.len() {
            let (column, place) = order[pair];
            let earlier = pair.checked_sub(1).map(|before| order[before]).filter(|(before, _)| *before == column);
            first[place] = earlier.map_or(place, |(_, earlier)| first[earlier]);
        }
        let (mut slots, mut distinct) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
        for (place, first) in first.into_iter().enumerate() {
            if first == place {
                slots.push(distinct.len());
                distinct.push(columns[place]);
            } else {
                slots.push(slots[first]);
            }
        }
        Self { slots, distinct }
    }
}

impl ConstraintSystem<Fr> for ShapeRecorder {
    type Root = Self;

    fn alloc<F, A, AR>(&mut self, _annotation: A, _value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        Ok(variable(self.shape.push_aux()))
    }

    fn alloc_input<F, A, AR>(&mut self, _annotation: A, _value: F) -> Result<Variable, SynthesisError>
    where
        F: FnOnce() -> Result<Fr, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        Ok(variable(self.shape.push_input()))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _annotation: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LB: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
        LC: FnOnce(LinearCombination<Fr>) -> LinearCombination<Fr>,
    {
        self.constrain(bellman_row!(a, b, c));
    }

    fn push_namespace<NR: Into<String>, N: FnOnce() -> NR>(&mut self, _name: N) {}

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self {
        self
    }
}
