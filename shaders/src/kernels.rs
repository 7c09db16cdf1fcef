//! The kernels: one text for each dispatch, put together for a form of elements.

use crate::compose::{ComposeError, compose};
use crate::field::{Field, Form};
use crate::poseidon::{INSTANCES, Table};
use crate::sha256;

/// A kernel and what its text depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// `parents[i] = Poseidon(children[i·arity], …)`: a level of a Poseidon tree, or columns.
    PoseidonLevel(Table),
    /// `parents[i] = SHA-256(children[2i] ‖ children[2i + 1])` with the two highest bits cleared: a level of TreeD.
    ShaLevel,
    /// Levels of the butterflies of a transform, in place.
    Butterflies(Decimation, Levels, Form),
    /// Powers of a number for each row of a transform that was cut, in place.
    RowFactors(Form),
    /// Test only: one function of a field to each invocation.
    FieldProbe(Field, Form),
    /// Calibration only: many products to each invocation.
    FieldLoop(Field, Form),
    /// Test only: a loop of many turns, which some drivers cut off.
    LongLoop,
}

/// Which of the two ways a transform goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decimation {
    /// A factor and then a butterfly, from the smallest blocks to the largest.
    Time,
    /// A butterfly and then a factor, from the largest blocks to the smallest.
    Frequency,
}

/// Levels of butterflies in one dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Levels {
    /// A butterfly of two values to each invocation.
    One,
    /// Four butterflies of four values to each invocation.
    Two,
}

impl Kernel {
    /// The kernels of transforms in a form.
    pub fn transforms(form: Form) -> impl Iterator<Item = Self> {
        let butterflies = [Decimation::Time, Decimation::Frequency].into_iter().flat_map(move |decimation| {
            [Levels::One, Levels::Two].map(|levels| Self::Butterflies(decimation, levels, form))
        });
        butterflies.chain([Self::RowFactors(form)])
    }

    /// The Poseidon kernels of a form.
    pub fn poseidon_levels(form: Form) -> impl Iterator<Item = Self> {
        INSTANCES
            .into_iter()
            .map(move |(arity, partial_rounds)| Self::PoseidonLevel(Table { width: arity + 1, partial_rounds, form }))
    }

    /// For reports and caches: unique for the text.
    pub fn name(&self) -> String {
        match self {
            Self::PoseidonLevel(table) => format!("poseidon_{}_{}", table.width - 1, table.form.name()),
            Self::ShaLevel => "sha_level".to_owned(),
            Self::Butterflies(decimation, levels, form) => {
                let decimation = match decimation {
                    Decimation::Time => "time",
                    Decimation::Frequency => "frequency",
                };
                let values = match levels {
                    Levels::One => 2,
                    Levels::Two => 4,
                };
                format!("butterflies_{decimation}_{values}_{}", form.name())
            }
            Self::RowFactors(form) => format!("row_factors_{}", form.name()),
            Self::FieldProbe(field, form) => format!("{}_{}", field.prefix(), form.name()),
            Self::FieldLoop(field, form) => format!("{}_loop_{}", field.prefix(), form.name()),
            Self::LongLoop => "long_loop".to_owned(),
        }
    }

    /// Buffers that it binds, from 0: inputs, then the one output.
    pub fn bindings(&self) -> usize {
        match self {
            Self::PoseidonLevel(_) | Self::ShaLevel | Self::FieldProbe(..) | Self::FieldLoop(..) => 3,
            Self::Butterflies(..) | Self::RowFactors(_) | Self::LongLoop => 2,
        }
    }

    /// Whether a dispatch takes parameters.
    pub fn has_parameters(&self) -> bool {
        !matches!(self, Self::FieldProbe(..) | Self::FieldLoop(..) | Self::LongLoop)
    }

    /// The WGSL text; its entry point is `main`.
    ///
    /// # Errors
    /// [`ComposeError`], which tests rule out for the texts here.
    pub fn source(&self) -> Result<String, ComposeError> {
        // The same functions of both fields, under other names.
        let of = |field: Field, fr: &str| match field {
            Field::Fr => fr.to_owned(),
            Field::Fq => fr.replace("Fr", "Fq").replace("fr", "fq"),
        };
        let (text, form) = match self {
            Self::PoseidonLevel(table) => (include_str!("../wgsl/kernels/poseidon_level.wgsl").to_owned(), table.form),
            Self::ShaLevel => (include_str!("../wgsl/kernels/sha_level.wgsl").to_owned(), Form::Narrow),
            Self::Butterflies(_, _, form) => (include_str!("../wgsl/kernels/butterflies.wgsl").to_owned(), *form),
            Self::RowFactors(form) => (include_str!("../wgsl/kernels/row_factors.wgsl").to_owned(), *form),
            Self::FieldProbe(field, form) => (of(*field, include_str!("../wgsl/probes/fr.wgsl")), *form),
            Self::FieldLoop(field, form) => (of(*field, include_str!("../wgsl/probes/field_loop.wgsl")), *form),
            Self::LongLoop => (include_str!("../wgsl/probes/long_loop.wgsl").to_owned(), Form::Narrow),
        };
        let library = |name: &str| match (name, self) {
            ("field/fr", _) => Some(Field::Fr.source(form)),
            ("field/fq", _) => Some(Field::Fq.source(form)),
            ("hash/poseidon", Self::PoseidonLevel(table)) => Some(table.source()),
            ("hash/sha256", _) => Some(sha256::source()),
            _ => None,
        };
        let mut defined = Vec::new();
        defined.extend((form == Form::Wide).then_some("WIDE"));
        if let Self::Butterflies(decimation, levels, _) = self {
            defined.extend((*decimation == Decimation::Time).then_some("TIME"));
            defined.extend((*levels == Levels::Two).then_some("TWO_LEVELS"));
        }
        compose(&text, &defined, &library)
    }
}
