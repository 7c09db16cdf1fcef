//! Poseidon with a matrix of small integers: the form that CPUs evaluate fastest.
//!
//! `M[i][j] = 1/(i + j + t)`, so `N = D·M` with `D = lcm(t, …, 3t − 2)` is a matrix of integers, and up to width 14
//! each fits into one machine word. A product by N costs a quarter of one by M. The state is kept multiplied by a
//! factor κ that is known in advance, so that D never has to be divided out:
//!
//! - mixing gives `2⁻ʷ·N·(κ·s) = κ′·(M·s)` with `κ′ = 2⁻ʷ·D·κ`, where 2⁻ʷ is a Montgomery step over a word or two, which
//!   also brings the sum back to the size of r;
//! - the S-boxes of a full round turn κ into κ⁵; that of a partial round is multiplied by κ⁻⁴, to agree with the rest;
//! - round constants are stored as κ·c. Those of partial rounds are pushed forward through M until only element 0 has
//!   one, and all are added to the sums before the Montgomery step.
//!
//! Input needs no conversion: a canonical integer x is the Montgomery form of x/R, so κ begins as 1/R. One product by
//! the plain integer 1/κ ends it, at element 1 only. The first element of the first round is a constant.
//!
//! Source: derived here from `spec/replication.md` 6.1; equal to the plain form, which the tests compare with.

use std::sync::OnceLock;

use ff::{Field, PrimeField};

use super::poseidon_constants::{Constants, FULL_ROUNDS, HALF_FULL_ROUNDS, Tag, constants};
use crate::field::{Fr, Node, NonCanonical};

/// The largest width whose integers fit, with room for a row's sum.
pub(crate) const MAX_WIDTH: usize = 14;

/// The constants of one instance for elements of L words of `bits` bits, R = 2^(L·bits).
#[derive(Debug)]
pub(crate) struct Scaled<const L: usize> {
    /// Elements of the state.
    pub(crate) width: usize,
    /// `matrix[i + j] = D/(i + j + t)`, below 2⁴⁹, a row's sum below 2⁵³.
    pub(crate) matrix: Vec<u64>,
    /// Added to inputs: t − 1.
    pub(crate) input_keys: Vec<[u64; L]>,
    /// Added to the sums of full rounds 0 to 6, t each. The first has the constant element's share; those of round 3
    /// are for the first partial round, where only element 0 has a constant.
    pub(crate) full_keys: Vec<Vec<[u64; L]>>,
    /// Of each partial round: κ⁻⁴, and what is added to sum 0.
    pub(crate) partial: Vec<PartialRound<L>>,
    /// Added to the sums of the last partial round, t.
    pub(crate) last_partial_keys: Vec<[u64; L]>,
    /// 1/κ after the last round, not in Montgomery form.
    pub(crate) unscale: [u64; L],
}

/// Constants of a partial round.
#[derive(Debug)]
pub(crate) struct PartialRound<const L: usize> {
    /// Multiplies the S-box.
    pub(crate) scale: [u64; L],
    /// Added to sum 0; not used in the last round, which has `last_partial_keys`.
    pub(crate) key: [u64; L],
}

impl<const L: usize> Scaled<L> {
    /// `step_bits` is w: bits of a Montgomery step of the mixing.
    pub(crate) fn new(constants: &Constants, bits: u32, step_bits: u32) -> Self {
        let width = constants.width;
        let common = (width..3 * width - 1).fold(1, |common, factor| lcm(common, factor as u64));
        let matrix: Vec<_> = (0..2 * width - 1).map(|sum| common / (sum + width) as u64).collect();

        let word = Fr::from(2).pow([u64::from(step_bits)]);
        let radix = Fr::from(2).pow([u64::from(bits) * L as u64]);
        let limbs = |x: Fr| split::<L>(x, bits);
        let stored = |x: Fr| limbs(x * radix);
        let step = Fr::from(common) * word.invert().expect("a power of two is not 0");

        let keys = pushed_forward(constants);
        let last_partial = HALF_FULL_ROUNDS + constants.partial_rounds - 1;
        let mut scale = radix.invert().expect("a power of two is not 0");
        let input_keys = keys[0][1..].iter().map(|key| stored(scale * key)).collect();
        let constant = (scale * (constants.tag + keys[0][0])).pow([5]);
        let (mut full_keys, mut partial, mut last_partial_keys) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..FULL_ROUNDS + constants.partial_rounds {
            let is_partial = (HALF_FULL_ROUNDS..=last_partial).contains(&round);
            let fourth = scale.pow([4]);
            scale *= step * if is_partial { Fr::ONE } else { fourth };
            let next = keys.get(round + 1).map(|keys| keys.iter().map(|key| scale * key * word).collect::<Vec<_>>());
            let Some(mut next) = next else { continue };
            if round == 0 {
                for (key, entry) in next.iter_mut().zip(&matrix) {
                    *key += constant * Fr::from(*entry);
                }
            }
            let next: Vec<_> = next.into_iter().map(stored).collect();
            if is_partial {
                let scale = stored(fourth.invert().expect("D and powers of two are not 0"));
                partial.push(PartialRound { scale, key: next[0] });
                if round == last_partial {
                    last_partial_keys = next;
                }
            } else {
                full_keys.push(next);
            }
        }
        let unscale = limbs(scale.invert().expect("D and powers of two are not 0"));
        Self { width, matrix, input_keys, full_keys, partial, last_partial_keys, unscale }
    }
}

/// The plain round constants with those of partial rounds moved on, but for element 0: `M·(0, c_1, …)` joins the next.
fn pushed_forward(constants: &Constants) -> Vec<Vec<Fr>> {
    let mut keys = constants.round_constants.clone();
    for round in HALF_FULL_ROUNDS..HALF_FULL_ROUNDS + constants.partial_rounds {
        let moved: Vec<_> = keys[round].iter_mut().skip(1).map(std::mem::take).collect();
        for (key, row) in keys[round + 1].iter_mut().zip(&constants.mds) {
            *key += moved.iter().zip(&row[1..]).map(|(moved, entry)| moved * entry).sum::<Fr>();
        }
    }
    keys
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    a / x * b
}

/// The canonical integer of an element, in words of `bits` bits.
fn split<const L: usize>(x: Fr, bits: u32) -> [u64; L] {
    let bytes = x.to_repr();
    let bit = |at: usize| u64::from(bytes.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1));
    std::array::from_fn(|limb| (0..bits as usize).map(|at| bit(limb * bits as usize + at) << at).sum())
}

/// The constants of an arity for words of 64 bits; `None` when the matrix does not fit.
pub(crate) fn words_64(arity: usize, tag: Tag) -> Option<&'static Scaled<4>> {
    static MERKLE: [OnceLock<Scaled<4>>; MAX_WIDTH] = [const { OnceLock::new() }; MAX_WIDTH];
    static RANDOM: [OnceLock<Scaled<4>>; MAX_WIDTH] = [const { OnceLock::new() }; MAX_WIDTH];
    let instances = if tag == Tag::Merkle { &MERKLE } else { &RANDOM };
    Some(instances.get(arity)?.get_or_init(|| Scaled::new(constants(arity, tag), 64, 64)))
}

/// The constants of an arity for words of 52 bits, under the tag of Merkle trees; `None` when the matrix does not fit.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only vector code uses 52-bit words"))]
pub(crate) fn words_52(arity: usize) -> Option<&'static Scaled<5>> {
    static MERKLE: [OnceLock<Scaled<5>>; MAX_WIDTH] = [const { OnceLock::new() }; MAX_WIDTH];
    Some(MERKLE.get(arity)?.get_or_init(|| Scaled::new(constants(arity, Tag::Merkle), 52, 52)))
}

/// An integer below 2²⁵⁶, the lowest word first.
type Limbs = [u64; 4];

/// r.
pub(crate) const MODULUS: Limbs =
    [0xffff_ffff_0000_0001, 0x53bd_a402_fffe_5bfe, 0x3339_d808_09a1_d805, 0x73ed_a753_299d_7d48];
/// −1/r modulo 2⁶⁴; modulo 2⁵², its low bits.
pub(crate) const NEGATED_INVERSE: u64 = 0xffff_fffe_ffff_ffff;

/// The integer of a node.
///
/// # Errors
/// [`NonCanonical`] when it is r or more.
pub(crate) fn read(node: &Node) -> Result<Limbs, NonCanonical> {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(node.as_chunks().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    if subtract_modulus(&limbs).1 { Ok(limbs) } else { Err(NonCanonical(*node)) }
}

/// The hash of as many nodes as the instance has inputs.
///
/// # Errors
/// [`NonCanonical`] when a node is no field element.
pub(crate) fn hash_nodes(scaled: &Scaled<4>, inputs: &[Node]) -> Result<Node, NonCanonical> {
    let mut state = [[0; 4]; MAX_WIDTH];
    for (x, node) in state[1..].iter_mut().zip(inputs) {
        *x = read(node)?;
    }
    let hash = match scaled.width {
        2 => permute::<2>(scaled, &mut state),
        3 => permute::<3>(scaled, &mut state),
        5 => permute::<5>(scaled, &mut state),
        6 => permute::<6>(scaled, &mut state),
        9 => permute::<9>(scaled, &mut state),
        12 => permute::<12>(scaled, &mut state),
        _ => permute::<MAX_WIDTH>(scaled, &mut state),
    };
    let mut node = [0; 32];
    for (bytes, limb) in node.as_chunks_mut().0.iter_mut().zip(hash) {
        *bytes = limb.to_le_bytes();
    }
    Ok(node)
}

/// Element 1 after the permutation, canonical. `state` holds the inputs from 1 on, canonical; T is the width, or
/// [`MAX_WIDTH`] for a width without code of its own.
fn permute<const T: usize>(scaled: &Scaled<4>, state: &mut [Limbs; MAX_WIDTH]) -> Limbs {
    let width = if T == MAX_WIDTH { scaled.width } else { T };
    let state = &mut state[..width];
    for (x, key) in state[1..].iter_mut().zip(&scaled.input_keys) {
        // Both are below r, and 2r is below 2²⁵⁶.
        *x = reduced(&add(x, key));
    }
    let (first, rest) = scaled.full_keys.split_first().expect("there are seven full rounds with keys");
    state[1..].iter_mut().for_each(|x| *x = quintic(x));
    state[0] = [0; 4];
    mix(scaled, state, first);
    let (before, after) = rest.split_at(HALF_FULL_ROUNDS - 1);
    for keys in before {
        state.iter_mut().for_each(|x| *x = quintic(x));
        mix(scaled, state, keys);
    }
    let (last, partial) = scaled.partial.split_last().expect("there are at least 55 partial rounds");
    let mut keys = [[0; 4]; MAX_WIDTH];
    for round in partial {
        state[0] = multiply(&round.scale, &quintic(&state[0]));
        keys[0] = round.key;
        mix(scaled, state, &keys[..width]);
    }
    state[0] = multiply(&last.scale, &quintic(&state[0]));
    mix(scaled, state, &scaled.last_partial_keys);
    for keys in after {
        state.iter_mut().for_each(|x| *x = quintic(x));
        mix(scaled, state, keys);
    }
    state.iter_mut().for_each(|x| *x = quintic(x));
    let hash = mixed(&scaled.matrix[1..], state, &[0; 4]);
    reduced(&multiply(&scaled.unscale, &hash))
}

/// `state = 2⁻⁶⁴·(N·state + keys)`, each below r + 2²⁴⁶.
#[inline(always)]
fn mix(scaled: &Scaled<4>, state: &mut [Limbs], keys: &[Limbs]) {
    let mut sums = [[0; 4]; MAX_WIDTH];
    for (row, (sum, key)) in sums.iter_mut().zip(keys).enumerate() {
        *sum = mixed(&scaled.matrix[row..], state, key);
    }
    state.copy_from_slice(&sums[..state.len()]);
}

/// `2⁻⁶⁴·(key + Σ_j row[j]·state[j])`, congruent modulo r and below r + 2²⁴⁶.
///
/// A row's entries sum up to less than 2⁵³ and elements are below 2²⁵⁶, so each column is below 2¹¹⁷, and the whole
/// sum, key and all, below 2³¹⁰. Adding a multiple m·r with m < 2⁶⁴ leaves less than 2⁶⁴·(r + 2²⁴⁶).
#[inline(always)]
fn mixed(row: &[u64], state: &[Limbs], key: &Limbs) -> Limbs {
    let mut columns = key.map(u128::from);
    for (entry, x) in row.iter().zip(state) {
        for (column, limb) in columns.iter_mut().zip(x) {
            *column += u128::from(*entry) * u128::from(*limb);
        }
    }
    let factor = (columns[0] as u64).wrapping_mul(NEGATED_INVERSE);
    let mut sum = [0; 4];
    let mut carry = 0;
    for limb in 0..4 {
        // Words plus a product of words stay below 2¹²⁸, the carry below 2⁶⁴ + 2⁵³ + 1.
        let total = u128::from(columns[limb] as u64) + u128::from(factor) * u128::from(MODULUS[limb]);
        let (low, overflow) = (total as u64).overflowing_add(carry as u64);
        if limb > 0 {
            sum[limb - 1] = low;
        }
        carry = (carry >> 64) + u128::from(overflow) + (total >> 64) + (columns[limb] >> 64);
    }
    sum[3] = carry as u64;
    sum
}

/// x⁵·R⁻⁴ for x below r + 2²⁴⁶; below 1.66·r.
///
/// With r/R < 0.4529: x² < 1.4529·r is reduced; x⁴ < 1.4529·r; x⁵ < (0.4529·1.4529 + 1)·r.
#[inline(always)]
fn quintic(x: &Limbs) -> Limbs {
    let square = reduced(&multiply(x, x));
    multiply(x, &multiply(&square, &square))
}

/// `left·right/R` modulo r, below `left·right/R + r`, for `left` below r + 2²⁴⁶ and any `right`.
///
/// After each step the sum is below left + r < 2r + 2²⁴⁶ < 2²⁵⁶, so that its top word's two carries do not overflow.
#[inline(always)]
fn multiply(left: &Limbs, right: &Limbs) -> Limbs {
    let wide = |sum: u64, a: u64, b: u64, carry: u64| {
        let total = u128::from(sum) + u128::from(a) * u128::from(b) + u128::from(carry);
        (total as u64, (total >> 64) as u64)
    };
    let mut sum = [0; 4];
    for limb in right {
        let (low, mut carry) = wide(sum[0], left[0], *limb, 0);
        let factor = low.wrapping_mul(NEGATED_INVERSE);
        let (_, mut reduction) = wide(low, factor, MODULUS[0], 0);
        for place in 1..4 {
            let middle;
            (middle, carry) = wide(sum[place], left[place], *limb, carry);
            (sum[place - 1], reduction) = wide(middle, factor, MODULUS[place], reduction);
        }
        sum[3] = carry + reduction;
    }
    sum
}

/// The sum of two integers, which is below 2²⁵⁶.
#[inline(always)]
fn add(left: &Limbs, right: &Limbs) -> Limbs {
    let (mut sum, mut carry) = ([0; 4], false);
    for ((sum, left), right) in sum.iter_mut().zip(left).zip(right) {
        (*sum, carry) = left.carrying_add(*right, carry);
    }
    sum
}

/// `x − r` modulo 2²⁵⁶, and whether x was below r.
#[inline(always)]
fn subtract_modulus(x: &Limbs) -> (Limbs, bool) {
    let (mut difference, mut borrow) = ([0; 4], false);
    for ((difference, x), modulus) in difference.iter_mut().zip(x).zip(MODULUS) {
        (*difference, borrow) = x.borrowing_sub(modulus, borrow);
    }
    (difference, borrow)
}

/// x below 2r, made canonical.
#[inline(always)]
fn reduced(x: &Limbs) -> Limbs {
    let (difference, below) = subtract_modulus(x);
    if below { *x } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::fr::to_node;
    use crate::hash::poseidon::hash_plain;

    #[test]
    fn scaled_form_matches_plain_at_every_width() {
        let edges = [Fr::ZERO, -Fr::ONE, Fr::ONE, Fr::from(2).pow([254]), -Fr::from(u64::MAX), Fr::from(7).pow([99])];
        for arity in 1..MAX_WIDTH {
            let scaled = words_64(arity, Tag::Merkle).unwrap();
            for shift in 0..edges.len() {
                let inputs: Vec<_> = edges.into_iter().cycle().skip(shift).take(arity).collect();
                let nodes: Vec<_> = inputs.iter().map(to_node).collect();
                let expected = to_node(&hash_plain(&inputs, Tag::Merkle));
                assert_eq!(hash_nodes(scaled, &nodes), Ok(expected), "{arity} {shift}");
            }
        }
        assert!(words_64(MAX_WIDTH, Tag::Merkle).is_none() && words_52(MAX_WIDTH).is_none());
    }

    /// The bounds that the kernels rely on.
    #[test]
    fn entries_fit_into_their_words() {
        for arity in 1..MAX_WIDTH {
            let scaled = words_52(arity).unwrap();
            assert!(scaled.matrix.iter().all(|entry| *entry < 1 << 49));
            let bits = if scaled.width <= 12 { 48 } else { 53 };
            assert!(scaled.matrix[..scaled.width].iter().sum::<u64>() < 1 << bits);
            assert!(scaled.full_keys.iter().flatten().flatten().all(|limb| *limb < 1 << 52));
        }
    }

    #[test]
    fn negated_inverse_is_one() {
        assert_eq!(MODULUS[0].wrapping_mul(NEGATED_INVERSE), u64::MAX);
        let r = (-Fr::ONE).to_repr();
        assert_eq!(r[0], 0);
        assert_eq!(split::<4>(-Fr::ONE, 64), [MODULUS[0] - 1, MODULUS[1], MODULUS[2], MODULUS[3]]);
    }

    #[test]
    fn largest_operands_stay_in_bounds() {
        let largest = add(&MODULUS, &[0, 0, 0, 1 << 53]);
        let product = multiply(&largest, &[u64::MAX; 4]);
        let value =
            |x: &Limbs| x.iter().rev().fold(Fr::ZERO, |sum, limb| sum * Fr::from(2).pow([64]) + Fr::from(*limb));
        let radix = Fr::from(2).pow([256]);
        assert_eq!(value(&product) * radix, value(&largest) * value(&[u64::MAX; 4]));
        assert_eq!(value(&quintic(&largest)) * radix.pow([4]), value(&largest).pow([5]));
        let row = [(1 << 49) - 1; 14];
        let sum = mixed(&row, &[[u64::MAX; 4]; 14], &[u64::MAX; 4]);
        let total = Fr::from(14 * row[0] + 1) * value(&[u64::MAX; 4]);
        assert_eq!(value(&sum) * Fr::from(2).pow([64]), total);
        let (above, below) = subtract_modulus(&sum);
        assert!(below || above[3] < 1 << 54);
    }
}
