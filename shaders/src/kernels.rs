//! The kernels: one text for each dispatch, put together for a form of elements.

use crate::compose::{ComposeError, compose};
use crate::field::{Field, Form};
use crate::labels::LabelHash;
use crate::poseidon::{INSTANCES, Table};
use crate::sha256;

/// A kernel and what its text depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// `parents[i] = Poseidon(children[i·arity], …)`: a level of a Poseidon tree, or columns.
    PoseidonLevel(Table),
    /// `parents[i] = SHA-256(children[2i] ‖ children[2i + 1])` with the two highest bits cleared: a level of TreeD.
    ShaLevel,
    /// `results[i] = values[i] + keys[i]` modulo r.
    Encode,
    /// `results[i] = values[i] − keys[i]` modulo r.
    Decode,
    /// Labels of consecutive nodes of a layer, in many sectors.
    Labels(LabelHash),
    /// Test only: one function of a field to each invocation.
    FieldProbe(Field, Form),
    /// Test only: a loop of many turns, which some drivers cut off.
    LongLoop,
}

impl Kernel {
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
            Self::Encode => "encode".to_owned(),
            Self::Decode => "decode".to_owned(),
            Self::Labels(hash) => format!("labels_{}", hash.name()),
            Self::FieldProbe(field, form) => format!("{}_{}", field.prefix(), form.name()),
            Self::LongLoop => "long_loop".to_owned(),
        }
    }

    /// Buffers that it binds, from 0: inputs, then the one output.
    pub fn bindings(&self) -> usize {
        match self {
            Self::PoseidonLevel(_) | Self::ShaLevel | Self::FieldProbe(..) => 3,
            Self::Encode | Self::Decode => 3,
            Self::Labels(_) => 5,
            Self::LongLoop => 2,
        }
    }

    /// Whether a dispatch takes parameters.
    pub fn has_parameters(&self) -> bool {
        !matches!(self, Self::FieldProbe(..) | Self::LongLoop)
    }

    /// The WGSL text; its entry point is `main`.
    ///
    /// # Errors
    /// [`ComposeError`], which tests rule out for the texts here.
    pub fn source(&self) -> Result<String, ComposeError> {
        let fr = include_str!("../wgsl/probes/fr.wgsl");
        let (text, form) = match self {
            Self::PoseidonLevel(table) => (include_str!("../wgsl/kernels/poseidon_level.wgsl").to_owned(), table.form),
            Self::ShaLevel => (include_str!("../wgsl/kernels/sha_level.wgsl").to_owned(), Form::Narrow),
            Self::Encode | Self::Decode => (include_str!("../wgsl/kernels/encode.wgsl").to_owned(), Form::Narrow),
            Self::Labels(hash) => (include_str!("../wgsl/kernels/labels.wgsl").to_owned(), hash.form()),
            Self::FieldProbe(Field::Fr, form) => (fr.to_owned(), *form),
            // The same functions under other names.
            Self::FieldProbe(Field::Fq, form) => (fr.replace("Fr", "Fq").replace("fr", "fq"), *form),
            Self::LongLoop => (include_str!("../wgsl/probes/long_loop.wgsl").to_owned(), Form::Narrow),
        };
        let library = |name: &str| match (name, self) {
            ("field/fr", _) => Some(Field::Fr.source(form)),
            ("field/fq", _) => Some(Field::Fq.source(form)),
            ("hash/poseidon", Self::PoseidonLevel(table)) => Some(table.source()),
            ("hash/label", Self::Labels(hash)) => Some(hash.source()),
            ("hash/sha256", _) => Some(sha256::source()),
            _ => None,
        };
        let mut defined = Vec::new();
        defined.extend((form == Form::Wide).then_some("WIDE"));
        defined.extend((*self == Self::Decode).then_some("DECODE"));
        compose(&text, &defined, &library)
    }
}
