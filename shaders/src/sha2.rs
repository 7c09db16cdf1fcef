//! The text of SHA-2's compression, over words of 32 or 64 bits.
//!
//! Sixteen rounds are unrolled, on registers with names; turns of a loop make a compression. A word of 64 bits is a `u64`
//! where the device has them, else a pair of its halves, the high one first, whose sums have carries found by comparison.
//!
//! Source: FIPS 180-4.

use std::fmt::Write;

/// Registers of the state.
pub(crate) const STATE: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
/// Rounds of a turn.
pub(crate) const ROUNDS: usize = 16;

/// How a word is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// 32 bits: SHA-256.
    U32,
    /// 64 bits in one integer: SHA-512.
    U64,
    /// 64 bits in two integers: SHA-512.
    Pair,
}

impl Word {
    /// Its WGSL type.
    fn type_name(self) -> &'static str {
        match self {
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Pair => "vec2<u32>",
        }
    }

    fn bits(self) -> u32 {
        match self {
            Self::U32 => 32,
            Self::U64 | Self::Pair => 64,
        }
    }

    /// The sum of words.
    pub(crate) fn sum(self, terms: &[String]) -> String {
        match self {
            Self::U32 | Self::U64 => terms.join(" + "),
            Self::Pair => {
                let sum = terms.iter().cloned().reduce(|sum, term| format!("plus({sum}, {term})"));
                sum.unwrap_or_default()
            }
        }
    }

    /// A register turned right by bits.
    fn turned(self, x: &str, by: u32) -> String {
        match self {
            // By more than a half: the halves change places.
            Self::Pair if by >= 32 => format!("turned({x}.yx, {}u)", by - 32),
            _ => format!("turned({x}, {by}u)"),
        }
    }

    /// A register shifted right by less than 32 bits.
    fn shifted(self, x: &str, by: u32) -> String {
        match self {
            Self::U32 | Self::U64 => format!("({x} >> {by}u)"),
            Self::Pair => format!("shifted({x}, {by}u)"),
        }
    }

    fn turned_thrice(self, x: &str, by: [u32; 3]) -> String {
        format!("({})", by.map(|by| self.turned(x, by)).join(" ^ "))
    }

    fn turned_and_shifted(self, x: &str, by: [u32; 3]) -> String {
        format!("({} ^ {} ^ {})", self.turned(x, by[0]), self.turned(x, by[1]), self.shifted(x, by[2]))
    }

    /// The functions of sums and turns, and `Word`.
    pub(crate) fn functions(self) -> String {
        let (name, bits) = (self.type_name(), self.bits());
        let mut text = format!("alias Word = {name};\n\n");
        text += &match self {
            Self::U32 | Self::U64 => {
                format!(
                    "fn turned(x: {name}, by: u32) -> {name} {{\n    return (x >> by) | (x << ({bits}u - by));\n}}\n\n"
                )
            }
            Self::Pair => "fn plus(x: Word, y: Word) -> Word {\n    let low = x.y + y.y;\n    \
                 return Word(x.x + y.x + u32(low < x.y), low);\n}\n\n\
                 // By 1 to 31 bits.\nfn turned(x: Word, by: u32) -> Word {\n    \
                 return (x >> Word(by)) | (x.yx << Word(32u - by));\n}\n\n\
                 fn shifted(x: Word, by: u32) -> Word {\n    \
                 return Word(x.x >> by, (x.y >> by) | (x.x << (32u - by)));\n}\n\n"
                .to_owned(),
        };
        text
    }

    /// Sixteen rounds over `a` to `h`. `constant` gives the constant of one of them, `with_words` adds `w0` to `w15`.
    pub(crate) fn rounds(self, text: &mut String, constant: impl Fn(usize) -> String, with_words: bool) {
        let (of_e, of_a) = match self {
            Self::U32 => ([6, 11, 25], [2, 13, 22]),
            Self::U64 | Self::Pair => ([14, 18, 41], [28, 34, 39]),
        };
        for i in 0..ROUNDS {
            // Names turn instead of values.
            let [a, b, c, d, e, f, g, h] = std::array::from_fn(|place| STATE[(place + ROUNDS - i) % 8]);
            let mut terms =
                vec![h.to_owned(), self.turned_thrice(e, of_e), format!("({g} ^ ({e} & ({f} ^ {g})))"), constant(i)];
            terms.extend(with_words.then(|| format!("w{i}")));
            let _ = writeln!(text, "        let x{i} = {};", self.sum(&terms));
            let _ = writeln!(text, "        {d} = {};", self.sum(&[d.to_owned(), format!("x{i}")]));
            let majority = format!("(({a} & {b}) | ({c} & ({a} | {b})))");
            let terms = [format!("x{i}"), self.turned_thrice(a, of_a), majority];
            let _ = writeln!(text, "        {h} = {};", self.sum(&terms));
        }
    }

    /// The next sixteen words of the schedule in `w0` to `w15`.
    pub(crate) fn schedule(self, text: &mut String) {
        let (s0, s1) = match self {
            Self::U32 => ([7, 18, 3], [17, 19, 10]),
            Self::U64 | Self::Pair => ([1, 8, 7], [19, 61, 6]),
        };
        for i in 0..16 {
            let [w, x, y, z] = [i, i + 1, i + 14, i + 9].map(|place| format!("w{}", place % 16));
            let others = self.sum(&[self.turned_and_shifted(&x, s0), z, self.turned_and_shifted(&y, s1)]);
            let terms = [w.clone(), format!("({others})")];
            let _ = writeln!(text, "        {w} = {};", self.sum(&terms));
        }
    }
}
