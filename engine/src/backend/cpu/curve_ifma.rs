//! [`Kernel`]s that add eight points at a time, with AVX-512 IFMA: the fast twins of those in [`super::curve`].
//!
//! Points are kept as limbs of 52 bits in the Montgomery form of `lanes`, nearly reduced. Each lane has a chain
//! of products of its own; at the end of a batch the eight products are inverted together by blst's scalar code.
//!
//! Lanes with an operand that is the identity, or with operands of equal abscissa, are found by cheap filters and
//! treated apart: their divisor is replaced, and their result is blended in.

use std::arch::x86_64::__mmask8;
use std::sync::LazyLock;

use blst::{blst_fp, blst_fp2};
use blstrs::{G1Affine, G1Projective, G2Affine, G2Projective};
use group::Curve;
use group::prime::PrimeCurveAffine;

use super::curve::{self, Addition, BadPoint, BaseField, Kernel, PortableG1, PortableG2};
use super::lanes::{
    Element, Fp8, LANES, LIMB_BITS, LIMBS, Limbs, P, T_SQUARED, TWO_P, add, below_modulus, blend, canonical, constant,
    is_zero, load, may_vanish, mul, negate, one, rows, signed_sub, square, store, sub, sub_settled, sub_two, vanishes,
};

/// Whether this machine has the instructions. Without them the kernels here are correct and slow.
pub fn available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// An affine point; (0, 0) is the identity.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Point<const N: usize> {
    x: [Limbs; N],
    y: [Limbs; N],
}

impl<const N: usize> Point<N> {
    const IDENTITY: Self = Self { x: [[0; LIMBS]; N], y: [[0; LIMBS]; N] };
}

impl<const N: usize> Default for Point<N> {
    fn default() -> Self {
        Self::IDENTITY
    }
}

impl<const N: usize> PartialEq for Point<N> {
    fn eq(&self, other: &Self) -> bool {
        self.x.map(reduced) == other.x.map(reduced) && self.y.map(reduced) == other.y.map(reduced)
    }
}

/// `a − b` in carried limbs, and whether it is negative.
fn difference(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let mut result = [0; LIMBS];
    let mut borrow = 0_i64;
    for (result, (a, b)) in result.iter_mut().zip(a.iter().zip(b)) {
        let limb = *a as i64 - *b as i64 + borrow;
        *result = limb as u64 & ((1 << LIMB_BITS) - 1);
        borrow = limb >> LIMB_BITS;
    }
    (result, borrow < 0)
}

/// The canonical form of a value below 2p.
fn reduced(limbs: Limbs) -> Limbs {
    match difference(&limbs, &P) {
        (_, true) => limbs,
        (reduced, false) => reduced,
    }
}

/// Six words of 64 bits to eight limbs of 52.
fn to_limbs(words: &[u64; 6]) -> Limbs {
    let mut limbs = [0; LIMBS];
    for (index, limb) in limbs.iter_mut().enumerate() {
        let (word, shift) = (index * LIMB_BITS as usize / 64, index as u32 * LIMB_BITS % 64);
        let high = if shift == 0 { 0 } else { words.get(word + 1).unwrap_or(&0) << (64 - shift) };
        *limb = (words[word] >> shift | high) & ((1 << LIMB_BITS) - 1);
    }
    limbs
}

/// Eight limbs of 52 bits, of a value below 2³⁸⁴, to six words of 64.
fn to_words(limbs: &Limbs) -> [u64; 6] {
    let mut words = [0; 6];
    for (index, word) in words.iter_mut().enumerate() {
        let (limb, shift) = (index * 64 / LIMB_BITS as usize, index as u32 * 64 % LIMB_BITS);
        *word = limbs[limb] >> shift | limbs[limb + 1] << (LIMB_BITS - shift);
        if 2 * LIMB_BITS - shift < 64 {
            *word |= limbs[limb + 2] << (2 * LIMB_BITS - shift);
        }
    }
    words
}

/// `2^exponent mod p`, as it stands.
fn power_of_two(exponent: u32) -> blst_fp {
    // In Montgomery form 1 is 2³⁸⁴.
    let two = blst_fp::ONE.add(&blst_fp::ONE);
    let half = two.invert();
    let step = if exponent >= 384 { two } else { half };
    (0..exponent.abs_diff(384)).fold(blst_fp::ONE, |power, _| power.mul(&step))
}

/// Factors between the two Montgomery forms.
struct Factors {
    /// 2⁴¹⁶: from blst's form.
    import: blst_fp,
    /// 2³⁵²: to blst's form.
    export: blst_fp,
    /// 2⁴⁴⁸: an inverse taken in blst's form of a value in ours, to ours.
    inverse: blst_fp,
}

static FACTORS: LazyLock<Factors> =
    LazyLock::new(|| Factors { import: power_of_two(416), export: power_of_two(352), inverse: power_of_two(448) });

/// blst's field with N components over Fp.
trait Tower<const N: usize>: BaseField {
    fn from_components(components: [blst_fp; N]) -> Self;
    fn components(&self) -> [blst_fp; N];

    /// Multiplies every component.
    fn scale(&self, factor: &blst_fp) -> [blst_fp; N] {
        self.components().map(|component| component.mul(factor))
    }

    /// From our form.
    fn export(limbs: &[Limbs; N]) -> Self {
        let raw = Self::from_components(limbs.map(|limbs| blst_fp { l: to_words(&reduced(limbs)) }));
        Self::from_components(raw.scale(&FACTORS.export))
    }

    /// To our form.
    fn import(&self) -> [Limbs; N] {
        self.scale(&FACTORS.import).map(|component| to_limbs(&component.l))
    }
}

impl Tower<1> for blst_fp {
    fn from_components([component]: [blst_fp; 1]) -> Self {
        component
    }

    fn components(&self) -> [blst_fp; 1] {
        [*self]
    }
}

impl Tower<2> for blst_fp2 {
    fn from_components(fp: [blst_fp; 2]) -> Self {
        Self { fp }
    }

    fn components(&self) -> [blst_fp; 2] {
        self.fp
    }
}

/// Eight additions between the two passes.
#[derive(Debug)]
struct Group<const N: usize> {
    divisor: Element<N>,
    /// Product of the divisors before.
    before: Element<N>,
    /// Lanes whose result is the point alone.
    take: __mmask8,
    /// Lanes whose result is the sum as it was.
    keep: __mmask8,
    /// Lanes with two equal points.
    double: __mmask8,
    /// Lanes with two opposite points.
    cancel: __mmask8,
}

/// Additions that wait for the common inversion.
#[derive(Debug)]
pub struct Scratch<const N: usize>(Vec<Group<N>>);

impl<const N: usize> Default for Scratch<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The operands of up to eight additions; missing ones are identities.
struct Operands<'a, const N: usize> {
    sums: [&'a Point<N>; LANES],
    points: [&'a Point<N>; LANES],
    negative: __mmask8,
}

impl<'a, const N: usize> Operands<'a, N> {
    fn new(sums: &'a [Point<N>], additions: &[Addition], points: &'a [Point<N>]) -> Self {
        let identity = &Point::IDENTITY;
        let mut operands = Self { sums: [identity; LANES], points: [identity; LANES], negative: 0 };
        for (lane, addition) in additions.iter().enumerate() {
            operands.sums[lane] = &sums[addition.to as usize];
            operands.points[lane] = &points[addition.from()];
            operands.negative |= u8::from(addition.negative()) << lane;
        }
        operands
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn accumulate<const N: usize, F: Tower<N>>(
    sums: &mut [Point<N>],
    additions: &[Addition],
    points: &[Point<N>],
    Scratch(groups): &mut Scratch<N>,
) {
    groups.clear();
    let mut product = one::<N>();
    for additions in additions.chunks(LANES) {
        let group = prepare(&Operands::new(sums, additions, points), product);
        product = mul(&product, &group.divisor);
        groups.push(group);
    }
    if groups.is_empty() {
        return;
    }
    let mut inverse = invert::<N, F>(&product);
    for (additions, group) in additions.chunks(LANES).zip(groups.iter()).rev() {
        let reciprocal = mul(&inverse, &group.before);
        inverse = mul(&inverse, &group.divisor);
        let (x, y) = finish(&Operands::new(sums, additions, points), group, &reciprocal);
        for component in 0..N {
            let (x, y) = (rows(&x[component]), rows(&y[component]));
            for ((addition, x), y) in additions.iter().zip(x).zip(y) {
                let sum = &mut sums[addition.to as usize];
                store(x, &mut sum.x[component]);
                store(y, &mut sum.y[component]);
            }
        }
    }
}

/// Divisors of eight additions.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn prepare<const N: usize>(operands: &Operands<'_, N>, before: Element<N>) -> Group<N> {
    let x1 = load(operands.sums.map(|point| &point.x));
    let x2 = load(operands.points.map(|point| &point.x));
    let divisor = sub(&x2, &x1);
    let mut group = Group { divisor, before, take: 0, keep: 0, double: 0, cancel: 0 };
    let (zero_1, zero_2) = (is_zero(&x1), is_zero(&x2));
    if zero_1 | zero_2 | may_vanish(&divisor) != 0 {
        let y1 = load(operands.sums.map(|point| &point.y));
        let y2 = load(operands.points.map(|point| &point.y));
        group.keep = zero_2 & is_zero(&y2);
        group.take = zero_1 & is_zero(&y1) & !group.keep;
        let equal = vanishes(&divisor) & !group.keep & !group.take;
        group.double = equal & vanishes(&signed_sub(&y2, operands.negative, &y1));
        group.cancel = equal & !group.double;
        group.divisor = blend(group.keep | group.take | group.cancel, &group.divisor, &one());
        group.divisor = blend(group.double, &group.divisor, &add(&y1, &y1));
    }
    group
}

/// Sums of eight additions.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn finish<const N: usize>(
    operands: &Operands<'_, N>,
    group: &Group<N>,
    reciprocal: &Element<N>,
) -> (Element<N>, Element<N>) {
    let x1 = load(operands.sums.map(|point| &point.x));
    let x2 = load(operands.points.map(|point| &point.x));
    let y1 = load(operands.sums.map(|point| &point.y));
    let y2 = load(operands.points.map(|point| &point.y));
    let mut numerator = signed_sub(&y2, operands.negative, &y1);
    if group.double != 0 {
        let once = square(&x1);
        numerator = blend(group.double, &numerator, &add(&once, &add(&once, &once)));
    }
    let slope = mul(&numerator, reciprocal);
    let mut x = sub_two(&square(&slope), &x1, &x2);
    let mut y = sub_settled(&mul(&slope, &sub(&x1, &x)), &y1);
    if group.take | group.keep | group.cancel != 0 {
        let y2 = blend(operands.negative, &y2, &negate(&y2));
        let zero = load([&[[0; LIMBS]; N]; LANES]);
        for (lanes, other_x, other_y) in [(group.take, &x2, &y2), (group.keep, &x1, &y1), (group.cancel, &zero, &zero)]
        {
            x = blend(lanes, &x, other_x);
            y = blend(lanes, &y, other_y);
        }
    }
    (x, y)
}

/// Inverts each lane.
#[target_feature(enable = "avx512f,avx512ifma")]
fn invert<const N: usize, F: Tower<N>>(value: &Element<N>) -> Element<N> {
    let mut limbs = [[[0; LIMBS]; N]; LANES];
    for component in 0..N {
        for (limbs, row) in limbs.iter_mut().zip(rows(&canonical(&value[component]))) {
            store(row, &mut limbs[component]);
        }
    }
    // Values in our form taken for values in blst's.
    let values = limbs.map(|limbs| F::from_components(limbs.map(|limbs| blst_fp { l: to_words(&limbs) })));
    let mut before = [F::ONE; LANES];
    let mut product = F::ONE;
    for (before, value) in before.iter_mut().zip(&values) {
        *before = product;
        product = product.mul(value);
    }
    let mut inverse = product.invert();
    for ((limbs, before), value) in limbs.iter_mut().zip(&before).zip(&values).rev() {
        *limbs = inverse.mul(before).scale(&FACTORS.inverse).map(|component| to_limbs(&component.l));
        inverse = inverse.mul(value);
    }
    load(std::array::from_fn(|lane| &limbs[lane]))
}

/// Component `component` of coordinate `coordinate` of an uncompressed point; the highest component comes first.
fn coordinate<const N: usize>(bytes: &[u8], coordinate: usize, component: usize) -> Limbs {
    let start = 48 * (coordinate * N + N - 1 - component);
    let mut words = [0; 6];
    for (word, bytes) in words.iter_mut().rev().zip(bytes[start..start + 48].as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    to_limbs(&words)
}

/// Eight points, or None when one of them is not in order.
#[target_feature(enable = "avx512f,avx512ifma")]
fn decode<const N: usize>(bytes: [&[u8]; LANES]) -> Option<[Point<N>; LANES]> {
    let mut points = [Point::<N>::IDENTITY; LANES];
    let mut good = 0xff;
    for (lane, (point, bytes)) in points.iter_mut().zip(bytes).enumerate() {
        if bytes[0] & 0xe0 != 0 {
            good &= !(1 << lane);
        }
        for component in 0..N {
            point.x[component] = coordinate::<N>(bytes, 0, component);
            point.y[component] = coordinate::<N>(bytes, 1, component);
        }
    }
    let mut x = load(std::array::from_fn(|lane| &points[lane].x));
    let mut y = load(std::array::from_fn(|lane| &points[lane].y));
    let factor = constant(&T_SQUARED);
    for component in x.iter_mut().chain(&mut y) {
        good &= below_modulus(component);
        *component = mul(&[*component], &[factor])[0];
    }
    let four = constant(&FOUR);
    let b: Element<N> = [four; N];
    let right = add(&mul(&square(&x), &x), &b);
    // y² − x³ − b; the sum is below 3p.
    good &= vanishes(&sub(&sub_settled(&square(&y), &right), &[constant(&TWO_P); N]));
    if good != 0xff {
        return None;
    }
    for component in 0..N {
        let (x, y) = (rows(&x[component]), rows(&y[component]));
        for ((point, x), y) in points.iter_mut().zip(x).zip(y) {
            store(x, &mut point.x[component]);
            store(y, &mut point.y[component]);
        }
    }
    Some(points)
}

/// 4 in our form.
const FOUR: Limbs = [
    0xc203aa3a7e6bb,
    0x99c5b63f91e5d,
    0xec2218e49b9f5,
    0xb47d6b297d25b,
    0x36f29b533dd05,
    0xaac3b92d6d85a,
    0x25d100f5559b6,
    0x5208,
];

/// The integers of eight elements.
#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn integers(element: &Fp8) -> Fp8 {
    let mut one = [0; LIMBS];
    one[0] = 1;
    rows(&canonical(&mul(&[*element], &[constant(&one)])[0]))
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn encode<const N: usize>(points: [&Point<N>; LANES], bytes: &mut [u8]) {
    let coordinates = [load(points.map(|point| &point.x)), load(points.map(|point| &point.y))];
    let point_bytes = 2 * 48 * N;
    for (coordinate, element) in coordinates.iter().enumerate() {
        for (component, element) in element.iter().enumerate() {
            let start = 48 * (coordinate * N + N - 1 - component);
            for (row, bytes) in integers(element).into_iter().zip(bytes.chunks_exact_mut(point_bytes)) {
                let mut limbs = [0; LIMBS];
                store(row, &mut limbs);
                let words = to_words(&limbs);
                for (word, bytes) in words.iter().rev().zip(bytes[start..start + 48].as_chunks_mut::<8>().0) {
                    *bytes = word.to_be_bytes();
                }
            }
        }
    }
    for (point, bytes) in points.iter().zip(bytes.chunks_exact_mut(point_bytes)) {
        if **point == Point::IDENTITY {
            bytes.fill(0);
            bytes[0] = 0x40;
        }
    }
}

macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident, $components:literal, $portable:ty, $field:ty, $affine:ty, $group:ty, $batch:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        #[allow(unsafe_code, reason = "calls of functions with target features, after detection")]
        impl Kernel for $name {
            type Group = $group;
            type Affine = $affine;
            type Point = Point<$components>;
            type Scratch = Scratch<$components>;

            const POINT_BYTES: usize = <$portable>::POINT_BYTES;
            const BATCH: usize = $batch;

            fn import(point: &$affine) -> Self::Point {
                let point = <$portable>::import(point);
                Point { x: point.x.import(), y: point.y.import() }
            }

            fn export(point: &Self::Point) -> $affine {
                let (x, y) = (<$field>::export(&point.x), <$field>::export(&point.y));
                <$portable>::export(&curve::Point { x, y })
            }

            fn decode(bytes: &[u8]) -> Result<Self::Point, BadPoint> {
                let point = <$portable>::decode(bytes)?;
                Ok(Point { x: point.x.import(), y: point.y.import() })
            }

            fn encode(point: &Self::Point, bytes: &mut [u8]) {
                <$portable>::encode(&<$portable>::import(&Self::export(point)), bytes);
            }

            fn decode_chosen(
                bytes: &[u8],
                chosen: &[u32],
                points: &mut [Self::Point],
            ) -> Result<(), (usize, BadPoint)> {
                let at = |chosen: &u32| {
                    let start = *chosen as usize * Self::POINT_BYTES;
                    bytes.get(start..start + Self::POINT_BYTES).unwrap_or_default()
                };
                let available = available();
                for (group, (chosen, points)) in chosen.chunks(LANES).zip(points.chunks_mut(LANES)).enumerate() {
                    if let (true, Ok(chosen), [_, _, _, _, _, _, _, _]) =
                        (available, <&[u32; LANES]>::try_from(chosen), &*points)
                    {
                        let bytes = chosen.each_ref().map(at);
                        if bytes.iter().all(|bytes| !bytes.is_empty()) {
                            // SAFETY: `available` has just reported the features of `decode`.
                            if let Some(eight) = unsafe { decode(bytes) } {
                                points.copy_from_slice(&eight);
                                continue;
                            }
                        }
                    }
                    for (index, (chosen, point)) in chosen.iter().zip(points).enumerate() {
                        *point = Self::decode(at(chosen)).map_err(|problem| (LANES * group + index, problem))?;
                    }
                }
                Ok(())
            }

            fn encode_all(points: &[Self::Point], bytes: &mut [u8]) {
                let available = available();
                let bytes = bytes.chunks_mut(LANES * Self::POINT_BYTES);
                for (points, bytes) in points.chunks(LANES).zip(bytes) {
                    match <&[Self::Point; LANES]>::try_from(points) {
                        Ok(points) if available && bytes.len() == LANES * Self::POINT_BYTES => {
                            // SAFETY: `available` has just reported the features of `encode`.
                            unsafe { encode(points.each_ref(), bytes) };
                        }
                        _ => {
                            for (point, bytes) in points.iter().zip(bytes.chunks_exact_mut(Self::POINT_BYTES)) {
                                Self::encode(point, bytes);
                            }
                        }
                    }
                }
            }

            fn accumulate(
                sums: &mut [Self::Point],
                additions: &[Addition],
                points: &[Self::Point],
                scratch: &mut Self::Scratch,
            ) {
                if available() {
                    // SAFETY: `available` has just reported the features of `accumulate`.
                    return unsafe { accumulate::<$components, $field>(sums, additions, points, scratch) };
                }
                for addition in additions {
                    let sum = &mut sums[addition.to as usize];
                    let point = Self::export(&points[addition.from()]);
                    let point = if addition.negative() { -point } else { point };
                    *sum = Self::import(&(Self::export(sum).to_curve() + point).to_affine());
                }
            }

            fn negate(point: &Self::Point) -> Self::Point {
                if *point == Point::IDENTITY {
                    return *point;
                }
                Point { x: point.x, y: point.y.map(|y| reduced(difference(&TWO_P, &y).0)) }
            }
        }
    };
}

kernel!(
    /// G1, eight points at a time.
    IfmaG1,
    1,
    PortableG1,
    blst_fp,
    G1Affine,
    G1Projective,
    1024
);
kernel!(
    /// G2, eight points at a time.
    IfmaG2,
    2,
    PortableG2,
    blst_fp2,
    G2Affine,
    G2Projective,
    512
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::curve::tests::{
        accumulate_equals_group_operations, equal_opposite_and_identity_operands, points,
    };

    fn equals_portable<K: Kernel, Q: Kernel<Affine = K::Affine>>() {
        let points = points::<K>(70);
        let expected: Vec<Q::Point> = points.iter().map(|point| Q::import(&K::export(point))).collect();
        for len in [0, 1, 7, 8, 9, 31, 70] {
            let mut bytes = vec![0; len * K::POINT_BYTES];
            let mut expected_bytes = bytes.clone();
            K::encode_all(&points[..len], &mut bytes);
            Q::encode_all(&expected[..len], &mut expected_bytes);
            assert_eq!(bytes, expected_bytes);
        }
        let mut bytes = vec![0; 70 * K::POINT_BYTES];
        K::encode_all(&points, &mut bytes);
        // The third point is the identity.
        let chosen: Vec<u32> = (0..70).filter(|index| *index != 2).rev().collect();
        for len in [0, 1, 7, 8, 9, 31, 69] {
            let mut decoded = vec![K::Point::default(); len];
            assert_eq!(K::decode_chosen(&bytes, &chosen[..len], &mut decoded), Ok(()));
            for (index, point) in chosen.iter().zip(&decoded) {
                assert_eq!(*point, points[*index as usize]);
            }
        }
        let mut decoded = vec![K::Point::default(); 70];
        let all: Vec<u32> = (0..70).collect();
        assert_eq!(K::decode_chosen(&bytes, &all, &mut decoded), Err((2, BadPoint::Identity)));
        assert_eq!(K::decode_chosen(&bytes, &[3, 70], &mut decoded), Err((1, BadPoint::Encoding)));
        // A flag, a coordinate above the modulus, a wrong coordinate.
        for (at, value, problem) in
            [(0, 0x80, BadPoint::Encoding), (0, 0x1f, BadPoint::Encoding), (47, 0x55, BadPoint::NotOnCurve)]
        {
            let mut bytes = bytes.clone();
            bytes[20 * K::POINT_BYTES + at] = value;
            assert_eq!(K::decode_chosen(&bytes, &all[3..], &mut decoded), Err((17, problem)));
        }
    }

    #[test]
    fn ifma_accumulate_equals_group_operations() {
        accumulate_equals_group_operations::<IfmaG1>();
        accumulate_equals_group_operations::<IfmaG2>();
    }

    #[test]
    fn ifma_special_operands() {
        equal_opposite_and_identity_operands::<IfmaG1>();
        equal_opposite_and_identity_operands::<IfmaG2>();
    }

    #[test]
    fn ifma_encodings_equal_portable() {
        equals_portable::<IfmaG1, PortableG1>();
        equals_portable::<IfmaG2, PortableG2>();
    }
}
