//! The kernels: one text for each dispatch, put together for a form of elements.

use crate::compose::{ComposeError, compose};
use crate::field::{self, Field, Form};
use crate::labels::LabelHash;
use crate::poseidon::{INSTANCES, Table};
use crate::sha256;

/// The groups whose points are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Points over Fq.
    G1,
    /// Points over its quadratic extension.
    G2,
}

impl Group {
    /// Both.
    pub const ALL: [Self; 2] = [Self::G1, Self::G2];

    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::G1 => "g1",
            Self::G2 => "g2",
        }
    }

    /// 32-bit words of an affine point.
    pub fn point_words(self) -> usize {
        let coordinates = match self {
            Self::G1 => 2,
            Self::G2 => 4,
        };
        coordinates * Field::Fq.words()
    }
}

/// The parts of adding pairs of affine points with one inversion for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SumPart {
    /// From the bytes of a file, in place.
    Import,
    /// Products of divisors.
    Divisors,
    /// Inverses of divisors, and the sums: G1.
    Add,
    /// Inverses of divisors: G2.
    Inverses,
    /// The sums, from the inverses: G2.
    Slopes,
}

impl SumPart {
    /// The parts for a group, in their order. An addition in G2 has twice the words, which registers do not hold in one
    /// part.
    pub fn of(group: Group) -> &'static [Self] {
        match group {
            Group::G1 => &[Self::Import, Self::Divisors, Self::Add],
            Group::G2 => &[Self::Import, Self::Divisors, Self::Inverses, Self::Slopes],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Divisors => "divisors",
            Self::Add => "add",
            Self::Inverses => "inverses",
            Self::Slopes => "slopes",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Import => include_str!("../wgsl/kernels/sum_import.wgsl"),
            Self::Divisors => include_str!("../wgsl/kernels/sum_divisors.wgsl"),
            Self::Add => include_str!("../wgsl/kernels/sum_add.wgsl"),
            Self::Inverses => include_str!("../wgsl/kernels/sum_inverses.wgsl"),
            Self::Slopes => include_str!("../wgsl/kernels/sum_slopes.wgsl"),
        }
    }
}

/// The parts of inverting many elements of Fq: products of chains, of chains of those, and so on; inverting the few that
/// are left; and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InversionPart {
    /// Products of chains.
    Products,
    /// One inversion an invocation.
    Invert,
    /// From the inverses of products to those of their factors.
    Inverses,
}

impl InversionPart {
    /// All.
    pub const ALL: [Self; 3] = [Self::Products, Self::Invert, Self::Inverses];

    fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Invert => "invert",
            Self::Inverses => "inverses",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Products => include_str!("../wgsl/kernels/fq_products.wgsl"),
            Self::Invert => include_str!("../wgsl/kernels/fq_invert.wgsl"),
            Self::Inverses => include_str!("../wgsl/kernels/fq_inverses.wgsl"),
        }
    }
}

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
    /// Part of adding pairs of points.
    Sum(SumPart, Group, Form),
    /// Part of inverting elements of Fq.
    Inversion(InversionPart, Form),
    /// `results[i] = values[i] + keys[i]` modulo r.
    Encode,
    /// `results[i] = values[i] − keys[i]` modulo r.
    Decode,
    /// Labels of consecutive nodes of a layer, in many sectors.
    Labels(LabelHash),
    /// Test only: one function of a field to each invocation.
    FieldProbe(Field, Form),
    /// Calibration only: many products to each invocation.
    FieldLoop(Field, Form),
    /// Test only: the rest of a field's functions.
    FieldProbeMore(Field, Form),
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

    /// The kernels of sums over points of a group, in a form.
    pub fn sums(group: Group, form: Form) -> impl Iterator<Item = Self> {
        SumPart::of(group).iter().map(move |part| Self::Sum(*part, group, form))
    }

    /// The kernels of inversion in a form.
    pub fn inversions(form: Form) -> impl Iterator<Item = Self> {
        InversionPart::ALL.into_iter().map(move |part| Self::Inversion(part, form))
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
            Self::Sum(part, group, form) => format!("{}_{}_{}", group.name(), part.name(), form.name()),
            Self::Inversion(part, form) => format!("fq_{}_{}", part.name(), form.name()),
            Self::Encode => "encode".to_owned(),
            Self::Decode => "decode".to_owned(),
            Self::Labels(hash) => format!("labels_{}", hash.name()),
            Self::FieldProbe(field, form) => format!("{}_{}", field.prefix(), form.name()),
            Self::FieldLoop(field, form) => format!("{}_loop_{}", field.prefix(), form.name()),
            Self::FieldProbeMore(field, form) => format!("{}_more_{}", field.prefix(), form.name()),
            Self::LongLoop => "long_loop".to_owned(),
        }
    }

    /// Buffers that it binds, from 0: those that it reads, then those that it writes.
    pub fn bindings(&self) -> usize {
        match self {
            Self::PoseidonLevel(_)
            | Self::ShaLevel
            | Self::FieldProbe(..)
            | Self::FieldProbeMore(..)
            | Self::FieldLoop(..) => 3,
            Self::Butterflies(..) | Self::RowFactors(_) | Self::Encode | Self::Decode => 2,
            Self::Sum(SumPart::Import, ..) | Self::LongLoop => 2,
            Self::Labels(_) => 5,
            Self::Sum(..) => 3,
            Self::Inversion(..) => 1,
        }
    }

    /// How many of its buffers, the last ones, it writes.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Sum(SumPart::Import, ..) => 2,
            _ => 1,
        }
    }

    /// Whether a dispatch takes parameters.
    pub fn has_parameters(&self) -> bool {
        !matches!(self, Self::FieldProbe(..) | Self::FieldProbeMore(..) | Self::FieldLoop(..) | Self::LongLoop)
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
            Self::FieldProbeMore(field, form) => (of(*field, include_str!("../wgsl/probes/fr_more.wgsl")), *form),
            Self::Sum(part, group, form) => (over(*group, part.text()), *form),
            Self::Inversion(part, form) => (part.text().to_owned(), *form),
            Self::Encode | Self::Decode => (include_str!("../wgsl/kernels/encode.wgsl").to_owned(), Form::Narrow),
            Self::Labels(hash) => (include_str!("../wgsl/kernels/labels.wgsl").to_owned(), hash.form()),
            Self::LongLoop => (include_str!("../wgsl/probes/long_loop.wgsl").to_owned(), Form::Narrow),
        };
        let library = |name: &str| match (name, self) {
            ("field/fr", _) => Some(Field::Fr.source(form)),
            ("field/fq", _) => Some(Field::Fq.source(form)),
            ("field/fq_words", _) => Some(field::words_source(Field::Fq, form)),
            ("field/fx", Self::Sum(_, Group::G1, _)) => {
                Some(["#import field/fq\n", include_str!("../wgsl/field/fq1.wgsl")].concat())
            }
            ("field/fx", Self::Sum(_, Group::G2, _)) => Some(include_str!("../wgsl/field/fq2.wgsl").to_owned()),
            ("curve/point", Self::Sum(_, group, _)) => Some(over(*group, include_str!("../wgsl/curve/point.wgsl"))),
            ("curve/pair", Self::Sum(_, group, _)) => Some(over(*group, include_str!("../wgsl/curve/pair.wgsl"))),
            ("curve/sum", Self::Sum(_, group, _)) => Some(over(*group, include_str!("../wgsl/curve/sum.wgsl"))),
            ("hash/poseidon", Self::PoseidonLevel(table)) => Some(table.source()),
            ("hash/label", Self::Labels(hash)) => Some(hash.source()),
            ("hash/sha256", _) => Some(sha256::source()),
            _ => None,
        };
        let mut defined = Vec::new();
        defined.extend((form == Form::Wide).then_some("WIDE"));
        if let Self::Butterflies(decimation, levels, _) = self {
            defined.extend((*decimation == Decimation::Time).then_some("TIME"));
            defined.extend((*levels == Levels::Two).then_some("TWO_LEVELS"));
        }
        defined.extend(matches!(self, Self::Sum(_, Group::G2, _)).then_some("G2"));
        defined.extend((*self == Self::Decode).then_some("DECODE"));
        compose(&text, &defined, &library)
    }
}

/// A text about either field of coordinates, which calls it `Fx`, for that of a group.
fn over(group: Group, text: &str) -> String {
    let (name, prefix) = match group {
        Group::G1 => ("Fq", "fq_"),
        Group::G2 => ("Fq2", "fq2_"),
    };
    text.replace("Fx", name).replace("fx_", prefix)
}
