//! The text of SHA-256 of 64 bytes, as trees use it.
//!
//! The second block is padding alone, so its schedule is part of the table of constants ([`table`]).
//!
//! Source: FIPS 180-4.

use std::fmt::Write;

use crate::sha2::{STATE, Word};

/// Words of the table.
pub const TABLE_WORDS: usize = 128;

/// Bits of a message of 64 bytes.
const MESSAGE_BITS: u32 = 512;

/// The state before the first block.
pub const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Primes, whose cube roots the constants of the rounds are taken from.
fn primes() -> impl Iterator<Item = u64> {
    (2_u64..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// The constants of the 64 rounds: 32 bits after the point of the cube roots of the first primes.
pub fn round_constants() -> [u32; 64] {
    let mut constants = [0; 64];
    for (constant, prime) in constants.iter_mut().zip(primes()) {
        // The largest c with c³ ≤ prime·2⁹⁶, bit by bit.
        let target = u128::from(prime) << 96;
        let root = (0..36).rev().fold(0_u128, |root, bit| {
            let next = root | 1 << bit;
            // Below 2³⁶ the cube is below 2¹⁰⁸.
            if next * next * next <= target { next } else { root }
        });
        *constant = root as u32;
    }
    constants
}

/// The constants of the rounds, then those of the second block with its words added.
pub fn table() -> [u32; TABLE_WORDS] {
    let constants = round_constants();
    let mut words = [0_u32; 64];
    (words[0], words[15]) = (1 << 31, MESSAGE_BITS);
    for i in 16..64 {
        let (x, y) = (words[i - 15], words[i - 2]);
        let s0 = x.rotate_right(7) ^ x.rotate_right(18) ^ x >> 3;
        let s1 = y.rotate_right(17) ^ y.rotate_right(19) ^ y >> 10;
        words[i] = words[i - 16].wrapping_add(s0).wrapping_add(words[i - 7]).wrapping_add(s1);
    }
    std::array::from_fn(|i| match i {
        0..64 => constants[i],
        _ => constants[i - 64].wrapping_add(words[i - 64]),
    })
}

/// `fn sha256_pair(left: Node, right: Node) -> Node`: the digest of two nodes, whose words are little-endian; wants the
/// table in `constants`.
pub fn source() -> String {
    let mut text = String::from("struct Node {\n    lo: vec4<u32>,\n    hi: vec4<u32>,\n}\n\n");
    text += &Word::U32.functions();
    text += "fn swapped(x: vec4<u32>) -> vec4<u32> {\n    \
         return ((x & vec4<u32>(255u)) << vec4<u32>(24u)) | ((x & vec4<u32>(65280u)) << vec4<u32>(8u)) |\n        \
         ((x >> vec4<u32>(8u)) & vec4<u32>(65280u)) | (x >> vec4<u32>(24u));\n}\n\n";
    let _ = writeln!(text, "fn sha256_pair(left: Node, right: Node) -> Node {{");
    for (quarter, source) in ["left.lo", "left.hi", "right.lo", "right.hi"].into_iter().enumerate() {
        let _ = writeln!(text, "    let q{quarter} = swapped({source});");
        for (place, lane) in ["x", "y", "z", "w"].into_iter().enumerate() {
            let _ = writeln!(text, "    var w{} = q{quarter}.{lane};", 4 * quarter + place);
        }
    }
    for (name, value) in STATE.iter().zip(INITIAL) {
        let _ = writeln!(text, "    var {name} = {value}u;");
    }
    let constant = |table: usize| move |i| format!("constants[{table}u + 16u * turn + {i}u]");
    let _ = writeln!(text, "    for (var turn = 0u; turn < 4u; turn++) {{");
    Word::U32.rounds(&mut text, constant(0), true);
    Word::U32.schedule(&mut text);
    let _ = writeln!(text, "    }}");
    for (name, value) in STATE.iter().zip(INITIAL) {
        let _ = writeln!(text, "    {name} += {value}u;\n    let {name}1 = {name};");
    }
    let _ = writeln!(text, "    for (var turn = 0u; turn < 4u; turn++) {{");
    Word::U32.rounds(&mut text, constant(64), false);
    let _ = writeln!(text, "    }}");
    let sums: Vec<_> = STATE.iter().map(|name| format!("{name} + {name}1")).collect();
    let _ = writeln!(
        text,
        "    return Node(swapped(vec4<u32>({})), swapped(vec4<u32>({})));\n}}",
        sums[..4].join(", "),
        sums[4..].join(", ")
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_those_of_the_standard() {
        let constants = round_constants();
        assert_eq!((constants[0], constants[1], constants[63]), (0x428a_2f98, 0x7137_4491, 0xc671_78f2));
    }
}
