//! How large circuits are, by formula: nothing is recorded.
//!
//! Source: `spec/snark.md` 2.7, 2.8, 4.3, 6.1.

use super::key::{Section, VerifyingKey};
use crate::circuit::{PoRepShape, PoStShape};
use crate::hash::poseidon_constants::PARTIAL_ROUNDS;
use crate::sector::Profile;
use crate::sector::params::{BASE_DEGREE, DEGREE};

/// Counts of a circuit and of the keys that belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Inputs, with ONE.
    pub inputs: u64,
    /// Constraints, without the consistency rows.
    pub constraints: u64,
    /// Aux variables.
    pub aux: u64,
    /// Aux variables that occur in A.
    pub a: u64,
    /// Aux variables that occur in B.
    pub b: u64,
    /// Aux variables that are no bits; within a thousandth.
    pub wide: u64,
}

/// What one hash, or one level of a path, adds to each count.
#[derive(Clone, Copy, Default)]
struct Part {
    constraints: u64,
    aux: u64,
    a: u64,
    b: u64,
    /// Index bits.
    bits: u64,
}

/// Poseidon of so many inputs; a and b include the inputs' own variables.
fn poseidon(arity: usize) -> Part {
    let (width, partial) = (arity as u64 + 1, PARTIAL_ROUNDS[arity] as u64);
    let constraints = 31 * width - 2 + 4 * partial;
    let dense = 24 * width - 3 + 3 * partial;
    Part { constraints, aux: constraints, a: dense, b: dense, bits: 0 }
}

/// All levels of a path with index bits and siblings of its own.
fn path(arities: &[usize]) -> Part {
    let level = |arity: usize| match arity {
        8 => Part { constraints: 530, aux: 537, a: 407, b: 389, bits: 3 },
        4 => Part { constraints: 387, aux: 390, a: 295, b: 287, bits: 2 },
        _ => Part { constraints: 314, aux: 315, a: 237, b: 235, bits: 1 },
    };
    arities.iter().map(|arity| level(*arity)).fold(Part::default(), |sum, level| Part {
        constraints: sum.constraints + level.constraints,
        aux: sum.aux + level.aux,
        a: sum.a + level.a,
        b: sum.b + level.b,
        bits: sum.bits + level.bits,
    })
}

impl Counts {
    /// Of one partition of a proof of replication.
    pub fn porep(shape: &PoRepShape) -> Self {
        let (n, d, layers) = (shape.challenges as u64, shape.log2_nodes as u64, shape.layers as u64);
        let path = path(&shape.tree.path_arities(shape.log2_nodes));
        let column = poseidon(shape.layers);
        let (parents, base) = (DEGREE as u64, BASE_DEGREE as u64);
        // A label, without its parents' bits.
        let (label, label_aux, label_b) = match shape.profile {
            Profile::Filecoin => (522_268, 521_748, 126_200),
            Profile::Filecash => (1_332_811, 1_331_271, 306_680),
        };
        let constraints = 45_382 * d
            + 2
            + parents * (column.constraints + path.constraints + 2)
            + 65
            + (base * 256 + label + 1)
            + (layers - 1) * (parents * 256 + label + 1)
            + 1
            + 2 * (path.constraints + 2)
            + column.constraints;
        let aux = 1
            + 45_335 * d
            + parents * (layers + column.aux + path.aux)
            + 64
            + (base * 255 + label_aux + 1)
            + (layers - 1) * (parents * 255 + label_aux + 1)
            + 1
            + 2 * path.aux
            + column.aux;
        let a = 45_333 * d
            + 1
            + parents * (column.a + path.a + 1)
            + (path.a + 1)
            + (column.a + path.a + 1)
            + base * 255
            + label_aux
            + (layers - 1) * (parents * 255 + label_aux)
            + 64;
        let b = 11_499 * d
            + (parents + 2) * path.b
            + (parents + 1) * column.b
            + base * 255
            + label_b
            + (layers - 1) * (parents * 255 + label_b)
            + 64;
        // Of sixteen paths and fifteen columns; what else is no bit does not show.
        let wide = (parents + 2) * (path.aux - path.bits) + (parents + 1) * column.aux;
        Self {
            inputs: 1 + shape.inputs() as u64,
            constraints: 571 + n * constraints,
            aux: 571 + n * aux,
            a: 490 + n * a,
            b: 489 + n * b,
            wide: n * wide,
        }
    }

    /// Of one partition of a proof of space-time.
    pub fn post(shape: &PoStShape) -> Self {
        let (s, c) = (shape.slots as u64, shape.challenges as u64);
        let path = path(&shape.tree.path_arities(shape.log2_nodes));
        Self {
            inputs: 1 + shape.inputs() as u64,
            constraints: s * (313 + c * (path.constraints + 2)),
            aux: s * (314 + c * (path.aux + 1)),
            a: s * (235 + c * (path.a + 1)),
            b: s * (234 + c * path.b),
            wide: s * (314 + c * (path.aux + 1 - path.bits)),
        }
    }

    /// Points of the domain of the transforms.
    pub fn domain(&self) -> u64 {
        (self.constraints + self.inputs).next_power_of_two()
    }

    /// Points of a section of the parameters.
    pub fn points(&self, section: Section) -> u64 {
        match section {
            Section::Head => 6,
            Section::Ic => self.inputs,
            Section::H => self.domain() - 1,
            Section::L => self.aux,
            Section::A => self.inputs + self.a,
            // Of the inputs ONE alone occurs in B.
            Section::B1 | Section::B2 => 1 + self.b,
        }
    }

    /// Bytes of the `.params`.
    pub fn parameter_bytes(&self) -> u64 {
        let section = |section: Section| 4 + self.points(section) * section.point_bytes() as u64;
        VerifyingKey::byte_len(self.inputs) + Section::PROVING.map(section).iter().sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuit::ProofCircuit;
    use crate::groth16::Density;
    use crate::sector::PoStKind;
    use crate::sector::params::{all, for_size};

    const GIB: u64 = 1 << 30;

    /// spec/snark.md 2.8: PoRep files and counts of aux variables in A and B at the sizes of networks.
    #[test]
    fn sizes_of_networks_match_the_reference() {
        let table = [
            (Profile::Filecoin, 2 << 10, 1_114_707_768, [2_674_908, 685_521]),
            (Profile::Filecoin, 8 << 20, 1_429_027_896, [3_814_996, 1_011_289]),
            (Profile::Filecoin, 512 << 20, 1_988_841_144, [4_385_040, 1_174_173]),
            (Profile::Filecoin, 32 * GIB, 47_373_928_632, [129_753_292, 33_112_281]),
            (Profile::Filecoin, 64 * GIB, 47_624_967_288, [130_637_542, 33_386_943]),
            (Profile::Filecash, 2 << 10, 2_346_987_576, [5_913_000, 1_407_441]),
            (Profile::Filecash, 4 * GIB, 34_730_391_384, [83_756_386, 19_966_400]),
            (Profile::Filecash, 16 * GIB, 23_319_937_080, [64_439_418, 15_584_393]),
        ];
        for (profile, size, bytes, dense) in table {
            let counts = Counts::porep(&PoRepShape::new(profile, for_size(profile, size).unwrap()));
            assert_eq!((counts.parameter_bytes(), [counts.a, counts.b]), (bytes, dense), "{profile} {size}");
        }
        let table = [
            (PoStKind::Winning, 2 << 10, 47_299_128),
            (PoStKind::Winning, 32 * GIB, 192_050_232),
            (PoStKind::Winning, 16 * GIB, 188_470_392),
            (PoStKind::Window, 2 << 10, 11_501_496),
            (PoStKind::Window, 4 * GIB, 14_239_127_544),
            (PoStKind::Window, 64 * GIB, 62_556_733_560),
        ];
        for (kind, size, bytes) in table {
            let params = for_size(Profile::Filecash, size).unwrap();
            assert_eq!(Counts::post(&PoStShape::new(kind, params)).parameter_bytes(), bytes, "{kind} {size}");
        }
    }

    /// The formulas against circuits that were recorded.
    #[test]
    fn formulas_count_what_is_recorded() {
        for params in all(Profile::Filecoin) {
            let shape = PoRepShape::new(Profile::Filecoin, params);
            let (counts, recorded) = (Counts::porep(&shape), shape.blank().record());
            let actual = [recorded.inputs(), recorded.constraints(), recorded.aux()].map(|count| count as u64);
            assert_eq!([counts.inputs, counts.constraints, counts.aux], actual, "{}", params.name);
            let shape = PoStShape::new(PoStKind::Winning, params);
            let (counts, recorded) = (Counts::post(&shape), shape.blank().record());
            let density = Density::new(&recorded);
            let actual = [recorded.inputs(), recorded.constraints(), recorded.aux()].map(|count| count as u64);
            assert_eq!([counts.inputs, counts.constraints, counts.aux], actual, "{}", params.name);
            assert_eq!([counts.a, counts.b], [density.a_aux.count(), density.b_aux.count()].map(|count| count as u64));
        }
    }

    /// spec/snark.md 6.2.
    #[test]
    fn variables_that_are_no_bits_are_counted_within_a_thousandth() {
        let table = [
            (Profile::Filecoin, 32 * GIB, 1_699_102_f64),
            (Profile::Filecash, 4 * GIB, 591_207.0),
            (Profile::Filecash, 16 * GIB, 713_348.0),
        ];
        for (profile, size, expected) in table {
            let counts = Counts::porep(&PoRepShape::new(profile, for_size(profile, size).unwrap()));
            assert!((counts.wide as f64 / expected - 1.0).abs() < 1e-3, "{profile} {size}: {counts:?}");
        }
    }
}
