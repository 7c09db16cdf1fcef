//! Constants of Poseidon over Fr, generated at first use: rounds, round constants, MDS matrix, optimised form.
//!
//! One instance per arity a, of width t = a + 1, S-box x⁵, 128 bits of security, RF = 8 full rounds around RP partial
//! ones. Round constants come from the Grain LFSR, the matrix is Cauchy's: `M[i][j] = 1 / (i + j + t)`, symmetric.
//!
//! The optimised form is an algebraic identity of the plain one: constants of partial rounds are pushed through M⁻¹
//! until each round adds one field element, and the RP matrices of partial rounds are factored into sparse ones with
//! one dense remainder in front. Vectors are rows: `(v·A)_j = Σ_i v_i·A[i][j]`.
//!
//! Source: Grassi et al., "Poseidon" (2019/458), 5.3 and appendices B, F; `spec/replication.md` 6.1.

use std::sync::OnceLock;

use ff::{Field, PrimeField};

use crate::field::Fr;

/// The largest supported arity.
pub const MAX_ARITY: usize = 36;
/// Full rounds of every instance, half of them before the partial rounds.
pub const FULL_ROUNDS: usize = 8;
/// Half of the full rounds.
pub const HALF_FULL_ROUNDS: usize = FULL_ROUNDS / 2;
/// Partial rounds by arity; entry 0 is unused. The least cost `8·t + RP` that resists the known attacks.
#[rustfmt::skip]
pub const PARTIAL_ROUNDS: [usize; MAX_ARITY + 1] = [
    0,
    55, 55, 56, 56, 56, 56, 57, 57, 57, 57, 57, 57, 57, 57, 59, 59, 59, 59,
    59, 59, 59, 59, 59, 59, 59, 59, 59, 59, 59, 59, 60, 60, 60, 60, 60, 60,
];

/// What the first element of the state says about the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tag {
    /// A node of a Merkle tree all of whose children are present: 2ᵃ − 1. Also columns and CommR.
    Merkle,
    /// The randomness of sector updates (custom type 1): 2⁴⁰, at arity 2.
    Random,
}

/// A square matrix, row by row.
pub type Matrix = Vec<Vec<Fr>>;

/// A matrix that is the identity but for its first column `w` and the rest of its first row, `v`.
///
/// `s·A` is: `new_0 = Σ_j w[j]·s_j`; `new_j = s_j + v[j − 1]·s_0` for j ≥ 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparse {
    /// First column, t elements.
    pub w: Vec<Fr>,
    /// First row after its first element, t − 1 elements.
    pub v: Vec<Fr>,
}

/// An instance: one arity and one tag.
///
/// Plain form, for each round r of `full_rounds + partial_rounds`: add `round_constants[r]`; raise every element
/// (partial rounds: the first) to the fifth power; multiply by `mds`. The hash is element 1.
///
/// Optimised form: add `pre`. For i in 0..4: raise all, add `post[i]`, multiply by `mds`, the last time by `pre_sparse`.
/// For every partial round k: raise element 0, add `partial_keys[k]` to it, multiply by `sparse[k]`. For i in 0..3:
/// raise all, add `post2[i]`, multiply by `mds`. Then raise all and multiply by `mds`.
#[derive(Clone, Debug)]
pub struct Constants {
    /// Number of inputs, a.
    pub arity: usize,
    /// Elements of the state, t = a + 1.
    pub width: usize,
    /// Element 0 of the initial state; the inputs follow.
    pub tag: Fr,
    /// 8.
    pub full_rounds: usize,
    /// RP: between 55 and 60.
    pub partial_rounds: usize,
    /// Plain form: t elements for each of the `full_rounds + partial_rounds` rounds.
    pub round_constants: Vec<Vec<Fr>>,
    /// Both forms: `M[i][j] = 1 / (i + j + t)`.
    pub mds: Matrix,
    /// Added before the first round: t elements.
    pub pre: Vec<Fr>,
    /// Added after the S-boxes of the first four rounds: 4 × t elements.
    pub post: Vec<Vec<Fr>>,
    /// Added to element 0 after its S-box: one element for each partial round.
    pub partial_keys: Vec<Fr>,
    /// Added after the S-boxes of the last full rounds but one: 3 × t elements.
    pub post2: Vec<Vec<Fr>>,
    /// The dense matrix of the fourth round.
    pub pre_sparse: Matrix,
    /// The matrices of the partial rounds, in the order of use.
    pub sparse: Vec<Sparse>,
}

/// The constants of an instance, generated at the first call.
///
/// # Panics
/// When `arity` is 0 or above [`MAX_ARITY`]. Arities come from the table of sectors, never from outside.
pub fn constants(arity: usize, tag: Tag) -> &'static Constants {
    static MERKLE: [OnceLock<Constants>; MAX_ARITY + 1] = [const { OnceLock::new() }; MAX_ARITY + 1];
    static RANDOM: [OnceLock<Constants>; MAX_ARITY + 1] = [const { OnceLock::new() }; MAX_ARITY + 1];
    assert!((1..=MAX_ARITY).contains(&arity), "Poseidon of arity {arity} is not defined");
    let instances = match tag {
        Tag::Merkle => &MERKLE,
        Tag::Random => &RANDOM,
    };
    instances[arity].get_or_init(|| Constants::generate(arity, tag))
}

impl Constants {
    fn generate(arity: usize, tag: Tag) -> Self {
        let width = arity + 1;
        let partial_rounds = PARTIAL_ROUNDS[arity];
        let rounds = round_constants(width, partial_rounds);
        let mds = cauchy(width);
        let inverse = inverted(&mds);
        let (pre_sparse, sparse) = factored(&mds, partial_rounds);
        let half = HALF_FULL_ROUNDS;

        let mut post: Vec<_> = (1..half).map(|round| multiplied(&rounds[round], &inverse)).collect();
        // Pulls the keys of partial rounds backwards: all but element 0 commute with the S-box.
        let mut sum = rounds[half + partial_rounds].clone();
        let mut partial_keys = vec![Fr::ZERO; partial_rounds];
        for (round, key) in (half..half + partial_rounds).zip(&mut partial_keys).rev() {
            let mut pulled = multiplied(&sum, &inverse);
            *key = pulled[0];
            pulled[0] = Fr::ZERO;
            sum = rounds[round].iter().zip(&pulled).map(|(constant, pulled)| constant + pulled).collect();
        }
        post.push(multiplied(&sum, &inverse));
        let post2 = (1..half).map(|round| multiplied(&rounds[half + partial_rounds + round], &inverse)).collect();

        Self {
            arity,
            width,
            tag: match tag {
                Tag::Merkle => Fr::from((1_u64 << arity) - 1),
                Tag::Random => Fr::from(1_u64 << 40),
            },
            full_rounds: FULL_ROUNDS,
            partial_rounds,
            pre: rounds[0].clone(),
            round_constants: rounds,
            mds,
            post,
            partial_keys,
            post2,
            pre_sparse,
            sparse,
        }
    }
}

/// The Grain LFSR of an instance: 80 bits, r\[0] the highest.
struct Grain(u128);

impl Grain {
    fn new(width: usize, partial_rounds: usize) -> Self {
        let mut state = 0;
        let mut push = |value: usize, bits: u32| state = state << bits | value as u128;
        push(1, 2); // prime field
        push(1, 4); // S-box x^α
        push(Fr::NUM_BITS as usize, 12);
        push(width, 12);
        push(FULL_ROUNDS, 10);
        push(partial_rounds, 10);
        push((1 << 30) - 1, 30);
        let mut grain = Self(state);
        for _ in 0..160 {
            grain.raw_bit();
        }
        grain
    }

    fn raw_bit(&mut self) -> bool {
        let bit = [62, 51, 38, 23, 13, 0].into_iter().fold(0, |sum, index| sum ^ self.0 >> (79 - index)) & 1;
        self.0 = (self.0 << 1 | bit) & ((1 << 80) - 1);
        bit == 1
    }

    /// The second of a pair of bits whose first is 1.
    fn bit(&mut self) -> bool {
        loop {
            let (keep, bit) = (self.raw_bit(), self.raw_bit());
            if keep {
                return bit;
            }
        }
    }

    /// 255 bits, the most significant first; values of r or more are dropped, not reduced.
    fn element(&mut self) -> Fr {
        loop {
            let mut bytes = [0; 32];
            for index in (0..Fr::NUM_BITS as usize).rev() {
                bytes[index / 8] |= u8::from(self.bit()) << (index % 8);
            }
            if let Some(element) = Fr::from_repr(bytes).into_option() {
                return element;
            }
        }
    }
}

fn round_constants(width: usize, partial_rounds: usize) -> Vec<Vec<Fr>> {
    let mut grain = Grain::new(width, partial_rounds);
    (0..FULL_ROUNDS + partial_rounds).map(|_| (0..width).map(|_| grain.element()).collect()).collect()
}

fn cauchy(width: usize) -> Matrix {
    (0..width)
        .map(|i| {
            let inverse = |j| Fr::from((i + j + width) as u64).invert();
            (0..width).map(|j| inverse(j).expect("i + j + t is neither 0 nor as large as r")).collect()
        })
        .collect()
}

/// `vector·matrix`, rows from the left.
fn multiplied(vector: &[Fr], matrix: &[Vec<Fr>]) -> Vec<Fr> {
    (0..matrix[0].len()).map(|j| vector.iter().zip(matrix).map(|(element, row)| element * row[j]).sum()).collect()
}

/// `M^RP`, each power interleaved with an S-box on element 0, as one dense matrix and RP sparse ones.
///
/// With `cur = [[c, v], [w, Ĉ]]`: `cur = [[1, 0], [0, Ĉ]]·[[c, v], [Ĉ⁻¹·w, 1]]`, and the left factor commutes with an
/// S-box on element 0, so it joins the M of the round before.
fn factored(mds: &Matrix, partial_rounds: usize) -> (Matrix, Vec<Sparse>) {
    let mut current = mds.clone();
    let mut sparse = Vec::with_capacity(partial_rounds);
    for _ in 0..partial_rounds {
        let block: Matrix = current[1..].iter().map(|row| row[1..].to_vec()).collect();
        let column: Matrix = current[1..].iter().map(|row| vec![row[0]]).collect();
        let mut w = vec![current[0][0]];
        w.extend(solved(&block, column).into_iter().flatten());
        sparse.push(Sparse { w, v: current[0][1..].to_vec() });
        current = mds
            .iter()
            .map(|row| {
                let mut product = vec![row[0]];
                product.extend(multiplied(&row[1..], &block));
                product
            })
            .collect();
    }
    sparse.reverse();
    (current, sparse)
}

fn inverted(matrix: &Matrix) -> Matrix {
    let identity = (0..matrix.len()).map(|i| (0..matrix.len()).map(|j| Fr::from(u64::from(i == j))).collect());
    solved(matrix, identity.collect())
}

/// `matrix⁻¹·right` by Gauss-Jordan elimination.
fn solved(matrix: &Matrix, mut right: Matrix) -> Matrix {
    let mut left = matrix.clone();
    let subtract = |rows: &mut Matrix, from: usize, pivot: usize, factor: Fr| {
        for column in 0..rows[from].len() {
            let product = rows[pivot][column] * factor;
            rows[from][column] -= product;
        }
    };
    for pivot in 0..left.len() {
        let row = (pivot..left.len()).find(|row| left[*row][pivot] != Fr::ZERO);
        let row = row.expect("the matrix of every width and its blocks are regular, checked in a test");
        left.swap(pivot, row);
        right.swap(pivot, row);
        let inverse = left[pivot][pivot].invert().expect("the pivot is not 0");
        for element in left[pivot].iter_mut().chain(&mut right[pivot]) {
            *element *= inverse;
        }
        for row in (0..left.len()).filter(|row| *row != pivot) {
            let factor = left[row][pivot];
            subtract(&mut left, row, pivot, factor);
            subtract(&mut right, row, pivot, factor);
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::fr::to_node;

    fn hex_of(value: Fr) -> String {
        hex::encode(to_node(&value))
    }

    /// spec/replication.md 6.1: attacks bound RF from below for each RP, then a margin is added.
    #[test]
    fn partial_rounds_are_the_cheapest_secure_ones() {
        for (arity, partial_rounds) in PARTIAL_ROUNDS.into_iter().enumerate().skip(1) {
            let width = (arity + 1) as f64;
            let candidates = (2..=1000).step_by(2).flat_map(|full| (4..200).map(move |partial| (full, partial)));
            let secure = candidates.filter(|(full, partial)| {
                let partial = f64::from(*partial);
                let statistical = 6.0_f64;
                let interpolation = (0.43 * 128.0 + width.log2() - partial).ceil();
                let groebner_1 = (0.21 * 256.0 - partial).ceil();
                let groebner_2 = ((0.14 * 256.0 - 1.0 - partial) / (width - 1.0)).ceil();
                f64::from(*full) >= statistical.max(interpolation).max(groebner_1).max(groebner_2)
            });
            let with_margin = secure.map(|(full, partial)| (full + 2, (1.075 * f64::from(partial)).ceil() as usize));
            let cost = |(full, partial): &(i32, usize)| ((arity + 1) * *full as usize + partial, *full);
            assert_eq!(with_margin.min_by_key(cost), Some((FULL_ROUNDS as i32, partial_rounds)), "{arity}");
        }
    }

    /// spec/replication.md 12.3: rc0, rc1, rcLast, m00.
    #[test]
    fn plain_constants_match_reference() {
        #[rustfmt::skip]
        let vectors = [
            (2, "d8d36e9d000a32a7368b75a292ac1e50244abb1d8651bd237ae13afa4b069f66", "153f9d2b84ab726e3427ac45967ce6ee6ca64fc8f27f53e436caacfbdea8610a", "5c5e3965e0abe00bb85b4dc28ee312ed84586e46057a911a3506ddd5a5bfdf60", Some("01000000aaaaaaaa543d5455576d7ee258e56b06b03ad1ccdaa81371371a494d")),
            (4, "ca15e2c7852207210958b717e3d9d3feb18e330a7d4c2cf32e5f0e6a7319c945", "bcca961d039f0271a2895ba0fbda01a79b80c38f0fd5674bd541b35612838b3c", "ebc6bea471ffa5206de5296d223750ed57605c1a126a7a8f81e23bcbd874e934", Some("34333333cccccccc656a65669b953e3203e82d6c9e81ef512b4b2b4c98978e45")),
            (5, "8e087c52b420bb0abe3a4e36211e0e12fe45dc7a84c8a796bc2f7994d8218554", "2bb27fa689acde798208e771990525cba5d6b3a7fa88cedc7f1de7d3382b4631", "c066e9b2dbba23bbee38b8162ed4acc62dfdadf45fbb5ee5d253cc4eac41d34c", None),
            (8, "f9c2f4f25441984394d48ce4e74a2bc54ad86d77dbad3c8ce05f04c4120de96c", "39ecbc40495075a1f3582ed37863fab4809de8c8525ba7252b02840c489bcd0c", "8c9a9d5145e5050c6774fe3e0660891b014a9e447eabc4bc23f7b091eb753a3b", Some("abaaaaaa388ee3381cbfc67172242af6724c7957e568f0ee4838b125bd08c319")),
            (11, "e4bc89d06b09dee67db73a0f8ef106d5e00289f3c5bf997304b548e676956c1f", "a98cf0c824e98b25b2e8edb74df0fd6847a7a543e29319d7eb3ddf2870bade06", "166aab2a4eea297c198da0d6c54c741c642f1bf15cc973db730af37f93ca4345", Some("010000c0a9aaaa6a54d4531558d66d375a5bd408b2b09fd92c087b3b0c84446a")),
            (1, "2eb7c9e939e0ff356a9cb6561caac3915538711a2183f0a92b143a754dd15d52", "1db3f2226151b64658a2a9f29150dae286fec665ba8909c67b9dbbdd66542d17", "3c00a4d90f2511b4380088a9ca0804e170ac722486c039303f8124099b8c0103", None),
            (16, "59b451c0a2ce7bb719d5fe9f00374a6270ed83967c7272c4bd4e3911bca20b11", "d2299ce529e1cce1a44b03530bed41462f493441e72d51915018d6f4157aad62", "aeaf0eb6fdd309768c1ccdfa2da2aca81531531392b2998d627a3f7ee6267c10", None),
            (24, "b1b6ce6d058bf5a049fd50f4efe22a7e91d72a3907b3e1a5ed86b40f04df212c", "5b1ef852814565ff02b2c2fcaf022f71b75075c50743825f27651ec43009dd06", "7fdcbfbab70224fc417f2d6aea4264d107d0c292bf1fe661b295a746abb1c431", None),
            (36, "4e3b7f6acc43ddd4b0d42853f8fb0a3d4ae7e933b8f4d4208390e8ba1a3a5429", "7584dc5a994c967d4c988c28d77e2b8493a1b88e3b75297cb268b2d479119a0c", "70e523f8c2ae9f2c9e95c87a4e6148671d87951a2af311ebbbd63260157cbb0c", None),
        ];
        for (arity, first, second, last, corner) in vectors {
            let rounds = round_constants(arity + 1, PARTIAL_ROUNDS[arity]);
            let mds = cauchy(arity + 1);
            assert_eq!(hex_of(rounds[0][0]), first, "{arity}");
            assert_eq!(hex_of(rounds[0][1]), second, "{arity}");
            assert_eq!(hex_of(rounds[rounds.len() - 1][arity]), last, "{arity}");
            if let Some(corner) = corner {
                assert_eq!(hex_of(mds[0][0]), corner, "{arity}");
            }
        }
    }

    /// spec/replication.md 12.3: C\[t], C\[last], pk0, presparse\[1]\[0], W\[1] and V\[0] of the first sparse matrix.
    #[test]
    fn optimised_constants_match_reference() {
        #[rustfmt::skip]
        let vectors = [
            (2, "d1a0122fca565f2f1b406c3190552f1f2bd0d2d2c9242638051853381d42fc0b", "5d7d8da8eea03149359978f39777055fb2c8dcd8ec9d48b5a4130145e9e3841c", "fdfd61d13821ca5c8fc0c939818e2d7ca7ab84ef09d31fb2c8e76a9ce50dea15", "01000040ffffff3fffc4fe3f023bcefe0362390706626b26f61d365f7e3df256", "a292a6d6d4732f8d27968ac6c2be74035f908eac46556845371ab9f99793d359", "d4fc91d8ff9b40eb002b358c863c71a084fc18f1160899e50c4783cb7e7f9658"),
            (4, "63ec54f996647b58c13db6935781824698d15aeb2d6d9c3e4490736483d05e72", "2d0ef32a2c5796d2095cb3bb822881eedbbf3a5c0077df46da5af9e99d3b7d10", "541ca9136d03bdfcfc2f64284ab8b3ddffd479bc3e85d221baf4fb7428350131", "01000080545555d5a94ca92aad081e1bafde06085c8905801193584dc5609b60", "14b3047b4b5d6429cb18159527805d714b4ec118c5d0381889eb732b9e8ea118", "96785c4d4894fb0b750a7706b444de32cbdcb8f6285de49919aff3b31d682540"),
            (5, "5dfdf29f4f12e4dc30767fc7e281d4eaf6a8b7f0e7e6da94fedc2c993365d501", "c48edfe647dd9b60a9b9b27185360e1cf5041e4cdaa3e4c3586a3a35de648b30", "9f145fc96cc3eb28388679fe405d875c04db11cd0297e7911cd9d962246a5f36", "25499224dbb66ddb481a2449dc2e36aa4a6277704b62c757829151e760541f21", "8c8733eb185214310c43467a81dc7b261e36949c6e83deb81ebf10ee484ea903", "b15ea497be050fd3cb06c540212d3319555bf80057483c37570addae9afe3215"),
            (8, "c68bf3b647042c8e9c9a627d2cd5d45f42df1f5ca1c32b4797dcf170f1b7603d", "b34c377f9d1cab23a8babe327b5190d77e39550557f3e5c23374333cf036f91e", "436e79f087b2a344b3741ee4e2f50cab112db4306c4faa87209f450520305e06", "9a999919666666e632b532b3cd4a1f9901f41636cfc0f7a895a51526cc4bc722", "7dc7fe3bc35bf4ea5c497df39a94980ac1541ea2b9696350ec342b7b92d3d939", "ead1161eca034980f7fc00da4c6ba56d1cd164e23833dee1009e62d32037a550"),
            (11, "0679aa944a93ac16e19a27e619d49de628b394965a5fb9dbd3181dbd20aec670", "a14c0e6bbf737c2f907b145f9185492b7e976abed4cdac7efbcb5231be1cbb09", "012de70fb3b1e1c442b6ac71c27a62860b50bb584dc4f54d7a2b1cf17e1b7f10", "3cb1133b3ab1133b3a75889d3ded02bdb57b2608b87bce8d9f42850f5adc1762", "e21cbc07f4e0783145fa02dd6afaadcebd8c45711a95024f653ba76f779fa61f", "6898e4041157fb8c1588ab3b731b850c02362a11638526a7ee4369dfddeb662d"),
        ];
        for (arity, post, last, key, corner, w, v) in vectors {
            let constants = constants(arity, Tag::Merkle);
            assert_eq!(hex_of(constants.post[0][0]), post, "{arity}");
            assert_eq!(hex_of(constants.post2[2][arity]), last, "{arity}");
            assert_eq!(hex_of(constants.partial_keys[0]), key, "{arity}");
            assert_eq!(hex_of(constants.pre_sparse[1][0]), corner, "{arity}");
            assert_eq!(hex_of(constants.sparse[0].w[1]), w, "{arity}");
            assert_eq!(hex_of(constants.sparse[0].v[0]), v, "{arity}");
        }
    }

    #[test]
    fn solved_inverts() {
        let matrix = cauchy(5);
        let inverse = inverted(&matrix);
        for (index, row) in matrix.iter().enumerate() {
            let unit: Vec<_> = (0..5).map(|j| Fr::from(u64::from(index == j))).collect();
            assert_eq!(multiplied(row, &inverse), unit);
        }
    }
}
