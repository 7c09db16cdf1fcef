//! The text of the hash of a label of a node other than 0.
//!
//! ```text
//! SHA-256  label = trim(SHA-256(replica_id ‖ header ‖ P₀ ‖ … ‖ P₃₆))                         blocks of two values
//! SHA-512  label = trim(SHA-512(W(replica_id) ‖ header ‖ W(P₀) ‖ … ‖ W(P₃₆))[..32])          blocks of two widened values
//! ```
//!
//! Either way there are 20 blocks: the replica id and the header, eighteen pairs of parents, the last parent and the
//! padding. Parents repeat after an even number, so the last one too is where a pair begins. All nodes here have their
//! words as numbers, which are big-endian in bytes. `W` puts words behind a value's own, last to first and with every bit
//! turned over.
//!
//! Source: `spec/replication.md` 5.1 and 5.4, `spec/filecash-profile.md` 1.

use std::fmt::Write;

use crate::field::Form;
use crate::sha2::{ROUNDS, STATE, Word};

/// Compressions of a label.
const BLOCKS: usize = 20;
/// Most turns of loops that a label takes: a turn for each sixteen rounds and for each block, and its own.
pub const MAX_TURNS: usize = BLOCKS * (5 + 1) + 1;

/// What a label is hashed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelHash {
    /// Profile filecoin.
    Sha256,
    /// Profile filecash: words of 64 bits, in pairs of 32 or as they are.
    Sha512(Form),
}

impl LabelHash {
    /// Every hash in every form.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha512(Form::Narrow), Self::Sha512(Form::Wide)];

    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512(Form::Narrow) => "sha512_narrow",
            Self::Sha512(Form::Wide) => "sha512_wide",
        }
    }

    /// Whether it wants 64-bit integers.
    pub fn form(self) -> Form {
        match self {
            Self::Sha256 => Form::Narrow,
            Self::Sha512(form) => form,
        }
    }

    fn word(self) -> Word {
        match self {
            Self::Sha256 => Word::U32,
            Self::Sha512(Form::Narrow) => Word::Pair,
            Self::Sha512(Form::Wide) => Word::U64,
        }
    }

    /// Turns of [`ROUNDS`] rounds in a compression.
    fn turns(self) -> usize {
        match self {
            Self::Sha256 => 4,
            Self::Sha512(_) => 5,
        }
    }

    /// Bits of the message.
    fn message_bits(self) -> usize {
        let values = 2 + 37;
        match self {
            Self::Sha256 => values * 32 * 8,
            Self::Sha512(_) => values * 64 * 8,
        }
    }

    /// `fn label(sector: u32, node: u32) -> Node`. Wants, in `constants`, the constants of the rounds and the initial state,
    /// the high half of a word of 64 bits first; `replica_ids`, `params.layer` and `fn parent(sector: u32, node: u32, place:
    /// u32) -> Node`, which is asked for even places below `parents_of_layer()` and the places after them.
    pub fn source(self) -> String {
        let word = self.word();
        let mut text = word.functions();
        let constant = |place: &str| match word {
            Word::U32 => format!("constants[{place}]"),
            _ => format!("constant({place})"),
        };
        // Word number `i` of a block, from a node's words or what widens them.
        let (joined, high, low) = match word {
            Word::U32 => ("", "", ""),
            Word::U64 => ("(u64(high) << 32u) | u64(low)", "u32(x >> 32u)", "u32(x)"),
            Word::Pair => ("Word(high, low)", "x.x", "x.y"),
        };
        if word != Word::U32 {
            let _ = write!(
                text,
                "fn joined(high: u32, low: u32) -> Word {{\n    return {joined};\n}}\n\n\
                 fn high(x: Word) -> u32 {{\n    return {high};\n}}\n\nfn low(x: Word) -> u32 {{\n    return {low};\n}}\n\n\
                 fn constant(place: u32) -> Word {{\n    \
                 return joined(constants[2u * place], constants[2u * place + 1u]);\n}}\n\n"
            );
        }
        let last = BLOCKS - 1;
        let rounds = ROUNDS * self.turns();
        let bits = self.message_bits();
        // SHA-512's length is beyond the node that ends the last block.
        let padding = if word == Word::U32 { bits } else { 0 };
        let _ = writeln!(text, "fn label(sector: u32, node: u32) -> Node {{");
        let _ = writeln!(text, "    let parents = parents_of_layer();");
        for (i, name) in STATE.iter().enumerate() {
            let _ = writeln!(text, "    var {name}0 = {};", constant(&format!("{}u", rounds + i)));
        }
        let _ = write!(
            text,
            "    var place = 0u;\n    for (var block = 0u; block < {BLOCKS}u; block++) {{\n    \
             var left: Node;\n    var right: Node;\n    \
             if block == 0u {{\n        \
             left = replica_ids[sector];\n        \
             right = Node(vec4<u32>(params.layer, 0u, node, 0u), vec4<u32>(0u));\n    }} else {{\n        \
             left = parent(sector, node, place);\n        \
             if block < {last}u {{\n            \
             right = parent(sector, node, place + 1u);\n        }} else {{\n            \
             right = Node(vec4<u32>({}u, 0u, 0u, 0u), vec4<u32>(0u, 0u, 0u, {padding}u));\n        }}\n        \
             place = select(place + 2u, 0u, place + 2u == parents);\n    }}\n",
            1_u32 << 31
        );
        let lanes = ["lo.x", "lo.y", "lo.z", "lo.w", "hi.x", "hi.y", "hi.z", "hi.w"];
        for (half, node) in ["left", "right"].into_iter().enumerate() {
            for i in 0..8 {
                let value = match (word, i) {
                    (Word::U32, _) => format!("{node}.{}", lanes[i]),
                    (_, 0..4) => format!("joined({node}.{}, {node}.{})", lanes[2 * i], lanes[2 * i + 1]),
                    _ => {
                        let (high, low) = (lanes[15 - 2 * i], lanes[14 - 2 * i]);
                        let widened = format!("joined(~{node}.{high}, ~{node}.{low})");
                        let plain = match i {
                            7 => format!("joined(0u, select(0u, {bits}u, block == {last}u))"),
                            _ => "joined(0u, 0u)".to_owned(),
                        };
                        match half {
                            0 => widened,
                            _ => format!("select({plain}, {widened}, block > 0u && block < {last}u)"),
                        }
                    }
                };
                let _ = writeln!(text, "    var w{} = {value};", 8 * half + i);
            }
        }
        for name in STATE {
            let _ = writeln!(text, "    var {name} = {name}0;");
        }
        let _ = writeln!(text, "    for (var turn = 0u; turn < {}u; turn++) {{", self.turns());
        word.rounds(&mut text, |i| constant(&format!("{ROUNDS}u * turn + {i}u")), true);
        let _ = writeln!(text, "        if turn == {}u {{\n            break;\n        }}", self.turns() - 1);
        word.schedule(&mut text);
        let _ = writeln!(text, "    }}");
        for name in STATE {
            let sum = word.sum(&[format!("{name}0"), name.to_owned()]);
            let _ = writeln!(text, "    {name}0 = {sum};");
        }
        let words: Vec<_> = match word {
            Word::U32 => STATE.iter().map(|name| format!("{name}0")).collect(),
            _ => STATE[..4].iter().flat_map(|name| [format!("high({name}0)"), format!("low({name}0)")]).collect(),
        };
        // Byte 31 loses its two top bits, so that the label is a field element.
        let _ = writeln!(
            text,
            "    }}\n    return Node(vec4<u32>({}), vec4<u32>({} & {}u));\n}}",
            words[..4].join(", "),
            words[4..].join(", "),
            !0xc0_u32
        );
        text
    }
}
