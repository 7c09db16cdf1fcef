//! Blocks: parts of a circuit that are the same but for the numbers of their variables.
//!
//! A template is recorded like a circuit of its own, whose inputs are ONE and the outside variables. In its rows a
//! variable is a place: 0 is ONE, then the outside variables, then the block's own in order of allocation.

use super::rows::Rows;
use super::{AUX, Block, Column, Shape};
use crate::field::Fr;

/// The common part of blocks.
#[derive(Clone, Debug, Default)]
pub(in crate::circuit) struct Template {
    pub(super) outside: usize,
    pub(super) aux: usize,
    pub(super) rows: [Rows; 3],
}

/// One block of a circuit.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) template: u32,
    pub(super) first_row: u32,
    pub(super) first_aux: u32,
    /// Where its list of outside variables begins.
    pub(super) first_outside: u32,
    /// Rows of the instances before this one.
    pub(super) rows_before: u32,
}

impl Template {
    /// A template with `outside` outside variables and nothing yet of its own.
    pub(in crate::circuit) fn new(outside: usize) -> Self {
        Self { outside, ..Self::default() }
    }

    /// The name of an outside variable while the template is recorded.
    pub(in crate::circuit) fn outside(slot: usize) -> Column {
        Column::input(1 + slot)
    }

    /// Adds a variable of the block's own.
    pub(in crate::circuit) fn push_aux(&mut self) -> Column {
        self.aux += 1;
        Column::aux(self.aux - 1)
    }

    pub(super) fn constraints(&self) -> usize {
        self.rows[0].len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.rows.iter().map(Rows::memory_bytes).sum()
    }
}

impl Shape {
    /// Adds a constraint to a template of this circuit.
    pub(in crate::circuit) fn push_template_constraint(
        &mut self,
        template: &mut Template,
        row: [&mut Vec<(Column, Fr)>; 3],
    ) {
        for (terms, rows) in row.into_iter().zip(&mut template.rows) {
            rows.push(terms, &mut self.dictionary);
        }
    }

    /// Keeps a complete template and returns its number.
    pub(in crate::circuit) fn push_template(&mut self, mut template: Template) -> usize {
        let own = 1 + template.outside as u32;
        for rows in &mut template.rows {
            rows.rename(|column| if column.is_aux() { own + (column.0 & !AUX) } else { column.0 });
            rows.shrink();
        }
        self.templates.push(template);
        self.templates.len() - 1
    }

    /// Adds an instance of a template over `outside`, and returns the number of its first own variable.
    pub(in crate::circuit) fn push_block(&mut self, template: usize, outside: &[Column]) -> usize {
        let (aux, rows) = (self.templates[template].aux, self.templates[template].constraints());
        debug_assert_eq!(outside.len(), self.templates[template].outside);
        let first_aux = self.aux;
        self.instances.push(Instance {
            template: template as u32,
            first_row: self.constraints as u32,
            first_aux: first_aux as u32,
            first_outside: self.outside.len() as u32,
            rows_before: (self.constraints - self.single[0].len()) as u32,
        });
        self.outside.extend_from_slice(outside);
        self.aux += aux;
        self.constraints += rows;
        first_aux
    }
}

impl Block<'_> {
    /// The variable at a place.
    pub(super) fn column(&self, place: usize) -> Column {
        match place.checked_sub(1 + self.outside.len()) {
            Some(own) => Column::aux(self.first_aux + own),
            None if place == 0 => Column::ONE,
            None => self.outside[place - 1],
        }
    }
}
