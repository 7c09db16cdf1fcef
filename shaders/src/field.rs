//! The text of prime field arithmetic: one generator for both fields and both forms of limbs.
//!
//! A field element in a buffer is a little-endian integer in 32-bit words. What a multiplication does with it depends on
//! the adapter ([`Form`]):
//!
//! - *narrow*: 13-bit limbs in `u32`, unpacked from the words and packed again. Every product has operands of 13 bits,
//!   which compilers turn into 24-bit multiply-adds, and a column holds all its products before the first carry.
//! - *wide*: 29- or 28-bit limbs with `u64` column sums, where the adapter has 64-bit integers.
//!
//! Multiplication is Montgomery's with `R = 2^(limbs·bits)`, limb by limb: `t += x_i·y; t = (t + m·p)/2^bits` with
//! `m = −t·p⁻¹ mod 2^bits`. As R ≥ 32·p, products of values below 2^(words·32) are below 2p, so that chains of products
//! need no subtraction. Code is unrolled by this generator and never indexes an array.
//!
//! Sources: P. Montgomery, "Modular multiplication without trial division" (1985); limb sizes by `spec/gpu.md` 2.

use std::fmt::Write;

/// How elements are cut inside a multiplication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// 13-bit limbs, 32-bit integers alone: runs everywhere.
    Narrow,
    /// 28- or 29-bit limbs, 64-bit sums: wants native 64-bit integers.
    Wide,
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Narrow, Self::Wide];

    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }
}

/// The two fields of BLS12-381.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// Scalars: integers modulo r, 255 bits.
    Fr,
    /// Coordinates: integers modulo q, 381 bits.
    Fq,
}

const R: [u32; 8] =
    [0x0000_0001, 0xffff_ffff, 0xfffe_5bfe, 0x53bd_a402, 0x09a1_d805, 0x3339_d808, 0x299d_7d48, 0x73ed_a753];
const Q: [u32; 12] = [
    0xffff_aaab,
    0xb9fe_ffff,
    0xb153_ffff,
    0x1eab_fffe,
    0xf6b0_f624,
    0x6730_d2a0,
    0xf385_12bf,
    0x6477_4b84,
    0x434b_acd7,
    0x4b1b_a7b6,
    0x397f_e69a,
    0x1a01_11ea,
];

impl Field {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fr, Self::Fq];

    /// The modulus in 32-bit words, lowest first.
    pub fn modulus(self) -> &'static [u32] {
        match self {
            Self::Fr => &R,
            Self::Fq => &Q,
        }
    }

    /// Prefix of the functions, in lower case; the type has its first letter in upper case.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Fr => "fr",
            Self::Fq => "fq",
        }
    }

    /// The name of the type of elements.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Fr => "Fr",
            Self::Fq => "Fq",
        }
    }

    /// 32-bit words of an element in a buffer.
    pub fn words(self) -> usize {
        self.modulus().len()
    }

    /// Bits of a limb inside a multiplication.
    pub fn limb_bits(self, form: Form) -> u32 {
        match (form, self) {
            (Form::Narrow, _) => 13,
            (Form::Wide, Self::Fr) => 29,
            (Form::Wide, Self::Fq) => 28,
        }
    }

    /// Limbs of an element; `R = 2^(limbs·bits)`.
    pub fn limbs(self, form: Form) -> usize {
        match (form, self) {
            (Form::Narrow, Self::Fr) => 20,
            (Form::Narrow, Self::Fq) => 30,
            (Form::Wide, Self::Fr) => 9,
            (Form::Wide, Self::Fq) => 14,
        }
    }

    /// An integer in 32-bit words as limbs.
    pub fn split(self, form: Form, words: &[u32]) -> Vec<u32> {
        let bits = self.limb_bits(form) as usize;
        let bit = |at: usize| words.get(at / 32).map_or(0, |word| word >> (at % 32) & 1);
        (0..self.limbs(form)).map(|limb| (0..bits).map(|at| bit(limb * bits + at) << at).sum()).collect()
    }

    /// `2^exponent` modulo p, in 32-bit words.
    pub fn power_of_two(self, exponent: usize) -> Vec<u32> {
        let modulus = self.modulus();
        let mut power = vec![0; self.words()];
        power[0] = 1;
        for _ in 0..exponent {
            let mut carry = 0;
            for word in &mut power {
                (*word, carry) = (*word << 1 | carry, *word >> 31);
            }
            if power.iter().rev().ge(modulus.iter().rev()) {
                let mut borrow = false;
                for (word, amount) in power.iter_mut().zip(modulus) {
                    let (difference, first) = word.overflowing_sub(*amount);
                    let (difference, second) = difference.overflowing_sub(u32::from(borrow));
                    (*word, borrow) = (difference, first || second);
                }
            }
        }
        power
    }

    /// The exponent of `R`.
    pub fn radix_bits(self, form: Form) -> usize {
        self.limbs(form) * self.limb_bits(form) as usize
    }

    /// x of Montgomery's `x·R`, in 32-bit words and below p, as is the result.
    pub fn out_of_domain(self, form: Form, words: &[u32]) -> Vec<u32> {
        let modulus = self.modulus();
        let mut value = words.to_vec();
        let mut left = self.radix_bits(form) as u32;
        while left > 0 {
            // As many multiples of p as make the low bits zero, which are dropped.
            let bits = left.min(16);
            let factor =
                u64::from((value[0] & mask(bits)).wrapping_mul(negated_inverse(modulus[0], bits)) & mask(bits));
            let mut carry = 0;
            for (word, modulus) in value.iter_mut().zip(modulus) {
                carry += u64::from(*word) + factor * u64::from(*modulus);
                *word = carry as u32;
                carry >>= 32;
            }
            for word in 0..value.len() {
                let above = value.get(word + 1).map_or(carry as u32, |above| *above);
                value[word] = value[word] >> bits | above << (32 - bits);
            }
            left -= bits;
        }
        value
    }

    /// The WGSL text of the field.
    pub fn source(self, form: Form) -> String {
        Generator::new(self, form).source()
    }
}

/// The WGSL text of integers in the words of an element: what inversion by halving needs.
pub fn words_source(field: Field, form: Form) -> String {
    let (generator, words) = (Generator::new(field, form), field.words());
    let (name, prefix) = (field.type_name(), field.prefix());
    let mut text = String::new();
    // The bits of both operands together are all that halving can take away.
    let _ = writeln!(text, "const MAX_STEPS = {}u;", 2 * 32 * words);
    let _ = writeln!(text, "const RADIX_SQUARED = {}u;\n", 2 * field.radix_bits(form));
    let _ = writeln!(text, "fn {prefix}_modulus() -> {name} {{");
    let _ = writeln!(text, "    return {};\n}}\n", generator.joined(|word| format!("{}u", field.modulus()[word])));
    let _ = writeln!(text, "fn {prefix}_halved(x: {name}) -> {name} {{");
    let halved = |word| match word + 1 < words {
        true => format!("({} >> 1u) | ({} << 31u)", generator.word("x", word), generator.word("x", word + 1)),
        false => format!("{} >> 1u", generator.word("x", word)),
    };
    let _ = writeln!(text, "    return {};\n}}\n", generator.joined(halved));
    for (function, sign, result) in [("words_add", '+', name), ("words_sub", '-', name), ("is_less", '-', "bool")] {
        let _ = writeln!(text, "fn {prefix}_{function}(x: {name}, y: {name}) -> {result} {{");
        for word in 0..words {
            let (x, y) = (generator.word("x", word), generator.word("y", word));
            // A carry shows as a sum below x, a borrow as x below what is taken away.
            let carry = |total: &str, x: &str, y: &str| match sign {
                '+' => format!("u32({total} < {x})"),
                _ => format!("u32({x} < {y})"),
            };
            let _ = writeln!(text, "    let s{word} = {x} {sign} {y};");
            let first = carry(&format!("s{word}"), &x, &y);
            if word == 0 {
                let _ = writeln!(text, "    let t0 = s0;\n    let c0 = {first};");
            } else {
                let before = format!("c{}", word - 1);
                let _ = writeln!(text, "    let t{word} = s{word} {sign} {before};");
                let second = carry(&format!("t{word}"), &format!("s{word}"), &before);
                let _ = writeln!(text, "    let c{word} = {first} + {second};");
            }
        }
        let value = match result {
            "bool" => format!("c{} != 0u", words - 1),
            _ => generator.joined(|word| format!("t{word}")),
        };
        let _ = writeln!(text, "    return {value};\n}}\n");
    }
    text
}

/// The low `bits` bits of −1/p.
fn negated_inverse(modulus: u32, bits: u32) -> u32 {
    // Newton's iteration doubles the right bits, three of which are right at the start.
    let mut inverse = modulus;
    for _ in 0..5 {
        inverse = inverse.wrapping_mul(2_u32.wrapping_sub(modulus.wrapping_mul(inverse)));
    }
    inverse.wrapping_neg() & mask(bits)
}

pub(crate) fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// Writes the functions of one field in one form.
pub(crate) struct Generator {
    field: Field,
    pub(crate) form: Form,
    /// Bits of a limb.
    pub(crate) bits: u32,
    /// Limbs of an element.
    pub(crate) limbs: usize,
    /// p as limbs.
    modulus: Vec<u32>,
    /// −1/p mod 2^bits.
    negated_inverse: u32,
}

impl Generator {
    pub(crate) fn new(field: Field, form: Form) -> Self {
        let bits = field.limb_bits(form);
        Self {
            field,
            form,
            bits,
            limbs: field.limbs(form),
            modulus: field.split(form, field.modulus()),
            negated_inverse: negated_inverse(field.modulus()[0], bits),
        }
    }

    /// Type of column sums.
    pub(crate) fn sum_type(&self) -> &'static str {
        match self.form {
            Form::Narrow => "u32",
            Form::Wide => "u64",
        }
    }

    /// `left·right` as a column sum; both are names of limbs or literals.
    pub(crate) fn product(&self, left: &str, right: &str) -> String {
        match self.form {
            Form::Narrow => format!("{left} * {right}"),
            Form::Wide => format!("u64({left}) * u64({right})"),
        }
    }

    /// A column sum's low 32 bits.
    fn low(&self, sum: &str) -> String {
        match self.form {
            Form::Narrow => sum.to_owned(),
            Form::Wide => format!("u32({sum})"),
        }
    }

    fn source(&self) -> String {
        let mut text = String::new();
        self.types(&mut text);
        self.words_arithmetic(&mut text);
        self.multiplication(&mut text);
        text
    }

    /// The type in registers, loading and storing.
    fn types(&self, text: &mut String) {
        let (name, prefix, words) = (self.field.type_name(), self.field.prefix(), self.field.words());
        let vectors = ["lo", "mid", "hi"];
        let places: &[&str] = if words == 8 { &["lo", "hi"] } else { &vectors };
        let _ = writeln!(text, "// {words} words of 32 bits, lowest first.");
        let _ = writeln!(text, "struct {name} {{");
        for place in places {
            let _ = writeln!(text, "    {place}: vec4<u32>,");
        }
        let _ = writeln!(text, "}}\n");
        let _ = writeln!(text, "// {} limbs of {} bits.", self.limbs, self.bits);
        let _ = writeln!(text, "struct {name}Limbs {{");
        for limb in 0..self.limbs {
            let _ = writeln!(text, "    l{limb}: u32,");
        }
        let _ = writeln!(text, "}}\n");

        let _ = writeln!(text, "fn {prefix}_unpack(x: {name}) -> {name}Limbs {{");
        let limbs: Vec<_> = (0..self.limbs).map(|limb| self.unpacked(limb)).collect();
        let _ = writeln!(text, "    return {name}Limbs({});\n}}\n", limbs.join(", "));

        // The highest limb keeps what does not fit the others, so limbs after carrying always fit the words.
        let _ = writeln!(text, "fn {prefix}_pack(x: {name}Limbs) -> {name} {{");
        let words: Vec<_> = (0..words).map(|word| self.packed(word)).collect();
        let vectors: Vec<_> = words.chunks(4).map(|words| format!("vec4<u32>({})", words.join(", "))).collect();
        let _ = writeln!(text, "    return {name}({});\n}}\n", vectors.join(", "));
    }

    /// Word number `word` of `x` as an expression.
    pub(crate) fn word(&self, x: &str, word: usize) -> String {
        let places: &[&str] = if self.field.words() == 8 { &["lo", "hi"] } else { &["lo", "mid", "hi"] };
        format!("{x}.{}.{}", places[word / 4], ["x", "y", "z", "w"][word % 4])
    }

    /// Limb number `limb` of `x` from its words.
    fn unpacked(&self, limb: usize) -> String {
        let (first, words) = (limb * self.bits as usize, self.field.words());
        let (word, shift) = (first / 32, first % 32);
        let low = match shift {
            0 => self.word("x", word),
            _ => format!("({} >> {shift}u)", self.word("x", word)),
        };
        let whole = if shift + self.bits as usize > 32 && word + 1 < words {
            format!("({low} | ({} << {}u))", self.word("x", word + 1), 32 - shift)
        } else {
            low
        };
        format!("{whole} & {}u", mask(self.bits))
    }

    /// Word number `word` from limbs `x.l0` and on.
    fn packed(&self, word: usize) -> String {
        let (first, bits) = (word * 32, self.bits as usize);
        let terms = (0..self.limbs).filter_map(|limb| {
            let start = limb * bits;
            let is_last = limb + 1 == self.limbs;
            if start >= first + 32 || (start + bits <= first && !is_last) || (is_last && start + 32 <= first) {
                None
            } else if start >= first {
                Some(match start - first {
                    0 => format!("x.l{limb}"),
                    shift => format!("(x.l{limb} << {shift}u)"),
                })
            } else {
                Some(format!("(x.l{limb} >> {}u)", first - start))
            }
        });
        terms.collect::<Vec<_>>().join(" | ")
    }

    /// Sums, differences and the canonical form, on words with carries found by comparison.
    fn words_arithmetic(&self, text: &mut String) {
        let (name, prefix, words) = (self.field.type_name(), self.field.prefix(), self.field.words());
        let modulus = self.field.modulus();
        let doubled: Vec<u32> = (0..words)
            .map(|word| modulus[word] << 1 | word.checked_sub(1).map_or(0, |below| modulus[below] >> 31))
            .collect();

        let places: &[&str] = if words == 8 { &["lo", "hi"] } else { &["lo", "mid", "hi"] };
        let choose = |text: &mut String, first: &str, second: &str, condition: &str| {
            let chosen: Vec<_> =
                places.iter().map(|place| format!("select({first}.{place}, {second}.{place}, {condition})")).collect();
            let _ = writeln!(text, "    return {name}({});\n}}\n", chosen.join(", "));
        };

        let _ = writeln!(text, "// x + y modulo 2p, for x below 2p and y up to 2p.");
        let _ = writeln!(text, "fn {prefix}_add(x: {name}, y: {name}) -> {name} {{");
        for word in 0..words {
            let (x, y) = (self.word("x", word), self.word("y", word));
            let _ = writeln!(text, "    let s{word} = {x} + {y};");
            if word == 0 {
                let _ = writeln!(text, "    let t0 = s0;\n    let c0 = u32(t0 < {x});");
            } else {
                let before = word - 1;
                let _ = writeln!(text, "    let t{word} = s{word} + c{before};");
                let _ = writeln!(text, "    let c{word} = u32(s{word} < {x}) + u32(t{word} < s{word});");
            }
        }
        for (word, amount) in doubled.iter().enumerate() {
            let _ = writeln!(text, "    let d{word} = t{word} - {amount}u;");
            if word == 0 {
                let _ = writeln!(text, "    let e0 = d0;\n    let b0 = u32(t0 < {amount}u);");
            } else {
                let before = word - 1;
                let _ = writeln!(text, "    let e{word} = d{word} - b{before};");
                let _ = writeln!(text, "    let b{word} = u32(t{word} < {amount}u) + u32(d{word} < b{before});");
            }
        }
        let names = |letter: char| self.joined(|word| format!("{letter}{word}"));
        let _ = writeln!(text, "    let sum = {};\n    let less = {};", names('t'), names('e'));
        choose(text, "sum", "less", &format!("c{0} != 0u || b{0} == 0u", words - 1));

        for (function, what, amounts) in [("less_p", "p", modulus)] {
            let _ = writeln!(text, "// x − {what} if that is not negative, else x.");
            let _ = writeln!(text, "fn {prefix}_{function}(x: {name}) -> {name} {{");
            for (word, amount) in amounts.iter().enumerate() {
                let x = self.word("x", word);
                let _ = writeln!(text, "    let s{word} = {x} - {amount}u;");
                if word == 0 {
                    let _ = writeln!(text, "    let t0 = s0;\n    let b0 = u32({x} < {amount}u);");
                } else {
                    let before = word - 1;
                    let _ = writeln!(text, "    let t{word} = s{word} - b{before};");
                    let _ = writeln!(text, "    let b{word} = u32({x} < {amount}u) + u32(s{word} < b{before});");
                }
            }
            let _ = writeln!(text, "    let y = {};", names('t'));
            choose(text, "y", "x", &format!("b{} != 0u", words - 1));
        }

        let _ = writeln!(text, "// 2p − y for y up to 2p.");
        let _ = writeln!(text, "fn {prefix}_minus(y: {name}) -> {name} {{");
        for (word, amount) in doubled.iter().enumerate() {
            let y = self.word("y", word);
            let _ = writeln!(text, "    let s{word} = {amount}u - {y};");
            if word == 0 {
                let _ = writeln!(text, "    let t0 = s0;\n    let b0 = u32({amount}u < {y});");
            } else {
                let before = word - 1;
                let _ = writeln!(text, "    let t{word} = s{word} - b{before};");
                if word + 1 < words {
                    let _ = writeln!(text, "    let b{word} = u32({amount}u < {y}) + u32(s{word} < b{before});");
                }
            }
        }
        let _ = writeln!(text, "    return {};\n}}\n", names('t'));
        self.differences(text, &doubled);
        self.comparisons(text);
    }

    /// Differences of elements.
    fn differences(&self, text: &mut String, doubled: &[u32]) {
        let (name, prefix, words) = (self.field.type_name(), self.field.prefix(), self.field.words());
        let _ = writeln!(text, "// x − y modulo 2p, for both below 2p.");
        let _ = writeln!(text, "fn {prefix}_sub(x: {name}, y: {name}) -> {name} {{");
        for word in 0..words {
            let (x, y) = (self.word("x", word), self.word("y", word));
            let _ = writeln!(text, "    let s{word} = {x} - {y};");
            if word == 0 {
                let _ = writeln!(text, "    let t0 = s0;\n    let b0 = u32({x} < {y});");
            } else {
                let before = word - 1;
                let _ = writeln!(text, "    let t{word} = s{word} - b{before};");
                let _ = writeln!(text, "    let b{word} = u32({x} < {y}) + u32(s{word} < b{before});");
            }
        }
        // 2p is added where the difference is negative.
        let _ = writeln!(text, "    let negative = 0u - b{};", words - 1);
        for (word, amount) in doubled.iter().enumerate() {
            let _ = writeln!(text, "    let a{word} = t{word} + (negative & {amount}u);");
            if word == 0 {
                let _ = writeln!(text, "    let d0 = a0;\n    let c0 = u32(a0 < t0);");
            } else {
                let before = word - 1;
                let _ = writeln!(text, "    let d{word} = a{word} + c{before};");
                if word + 1 < words {
                    let _ = writeln!(text, "    let c{word} = u32(a{word} < t{word}) + u32(d{word} < a{word});");
                }
            }
        }
        let _ = writeln!(text, "    return {};\n}}\n", self.joined(|word| format!("d{word}")));

        let _ = writeln!(text, "// p − x, and 0 for 0: of x below p.");
        let _ = writeln!(text, "fn {prefix}_negated(x: {name}) -> {name} {{");
        let _ =
            writeln!(text, "    return {prefix}_select({prefix}_less_p({prefix}_minus(x)), x, {prefix}_is_zero(x));");
        let _ = writeln!(text, "}}\n");
    }

    /// Choices, comparisons of words, and constants.
    fn comparisons(&self, text: &mut String) {
        let (name, prefix) = (self.field.type_name(), self.field.prefix());
        let places: &[&str] = if self.field.words() == 8 { &["lo", "hi"] } else { &["lo", "mid", "hi"] };
        let all = |test: &dyn Fn(&str) -> String| places.iter().map(|place| test(place)).collect::<Vec<_>>();
        let _ = writeln!(text, "// The second where the condition holds, else the first.");
        let _ = writeln!(text, "fn {prefix}_select(x: {name}, y: {name}, second: bool) -> {name} {{");
        let chosen = all(&|place| format!("select(x.{place}, y.{place}, second)")).join(", ");
        let _ = writeln!(text, "    return {name}({chosen});\n}}\n");
        let _ = writeln!(text, "fn {prefix}_equal(x: {name}, y: {name}) -> bool {{");
        let differences = all(&|place| format!("(x.{place} ^ y.{place})")).join(" | ");
        let _ = writeln!(text, "    let d = {differences};\n    return (d.x | d.y | d.z | d.w) == 0u;\n}}\n");
        let _ = writeln!(text, "fn {prefix}_is_zero(x: {name}) -> bool {{");
        let words = all(&|place| format!("x.{place}")).join(" | ");
        let _ = writeln!(text, "    let d = {words};\n    return (d.x | d.y | d.z | d.w) == 0u;\n}}\n");
        let radix = self.field.radix_bits(self.form);
        for (function, exponent, what) in [
            ("one", radix, "R: the one of"),
            ("four", radix + 2, "4R: the four of"),
            ("radix", 2 * radix, "R²: brings into"),
        ] {
            let power = self.field.power_of_two(exponent);
            let _ = writeln!(text, "// {what} Montgomery's domain.");
            let _ = writeln!(text, "fn {prefix}_{function}() -> {name} {{");
            let _ = writeln!(text, "    return {};\n}}\n", self.joined(|word| format!("{}u", power[word])));
        }
    }

    /// An element of so many expressions of words.
    fn joined(&self, word: impl Fn(usize) -> String) -> String {
        let words: Vec<_> = (0..self.field.words()).map(word).collect();
        let vectors: Vec<_> = words.chunks(4).map(|words| format!("vec4<u32>({})", words.join(", "))).collect();
        format!("{}({})", self.field.type_name(), vectors.join(", "))
    }

    /// Montgomery multiplication.
    fn multiplication(&self, text: &mut String) {
        let (name, prefix, n) = (self.field.type_name(), self.field.prefix(), self.limbs);
        let _ = writeln!(text, "// x·y/R. Limbs have {} bits, the highest may have a few more.", self.bits);
        let _ = writeln!(text, "fn {prefix}_limbs_mul(x: {name}Limbs, y: {name}Limbs) -> {name}Limbs {{");
        let mut columns: Vec<String> = Vec::new();
        for i in 0..n {
            for j in 0..n {
                let product = self.product(&format!("x.l{i}"), &format!("y.l{j}"));
                let sum = match columns.get(j) {
                    Some(before) => format!("{before} + {product}"),
                    None => product,
                };
                let _ = writeln!(text, "    let a{i}_{j} = {sum};");
            }
            columns = (0..n).map(|j| format!("a{i}_{j}")).collect();
            columns = self.montgomery_step(text, &format!("{i}"), &columns);
        }
        self.carried(text, &columns, false);
        let _ = writeln!(text, "}}\n");
        let _ = writeln!(text, "fn {prefix}_mul(x: {name}, y: {name}) -> {name} {{");
        let _ = writeln!(
            text,
            "    return {prefix}_pack({prefix}_limbs_mul({prefix}_unpack(x), {prefix}_unpack(y)));\n}}\n"
        );
        self.squaring(text);
    }

    /// Montgomery multiplication by itself: half the products, all columns of them before the first reduction. Compilers
    /// that find the equal products of x·x by themselves keep each in a register until it is used again.
    fn squaring(&self, text: &mut String) {
        let (name, prefix, n) = (self.field.type_name(), self.field.prefix(), self.limbs);
        let _ = writeln!(text, "// x²/R.");
        let _ = writeln!(text, "fn {prefix}_square(y: {name}) -> {name} {{");
        let _ = writeln!(text, "    let x = {prefix}_unpack(y);");
        for limb in 0..n {
            let _ = writeln!(text, "    let d{limb} = x.l{limb} << 1u;");
        }
        let mut columns: Vec<_> = (0..2 * n - 1)
            .map(|column| {
                let first = (column + 1).saturating_sub(n);
                let terms: Vec<_> = (first..=column / 2)
                    .map(|low| match column - low {
                        high if high == low => self.product(&format!("x.l{low}"), &format!("x.l{low}")),
                        high => self.product(&format!("d{low}"), &format!("x.l{high}")),
                    })
                    .collect();
                let _ = writeln!(text, "    let q{column} = {};", terms.join(" + "));
                format!("q{column}")
            })
            .collect();
        for step in 0..n {
            columns = self.montgomery_step(text, &format!("{step}"), &columns);
        }
        self.carried(text, &columns, true);
        let _ = writeln!(text, "}}\n");
    }

    /// `(columns + m·p)/2^bits`: writes the lines, returns the names of the columns that are left, one fewer unless the
    /// modulus reaches beyond.
    pub(crate) fn montgomery_step(&self, text: &mut String, step: &str, columns: &[String]) -> Vec<String> {
        let low = self.low(&columns[0]);
        let factor = if self.negated_inverse == mask(self.bits) {
            format!("(0u - {low})")
        } else if self.form == Form::Narrow {
            format!("(({low} & {}u) * {}u)", mask(self.bits), self.negated_inverse)
        } else {
            format!("({low} * {}u)", self.negated_inverse)
        };
        let _ = writeln!(text, "    let m{step} = {factor} & {}u;", mask(self.bits));
        let times = |limb: usize| match self.modulus[limb] {
            0 => None,
            1 => Some(format!("{}(m{step})", self.sum_type())),
            p => Some(self.product(&format!("m{step}"), &format!("{p}u"))),
        };
        let first = times(0).map_or(columns[0].clone(), |product| format!("{} + {product}", columns[0]));
        let _ = writeln!(text, "    let c{step} = ({first}) >> {}u;", self.bits);
        let len = columns.len().max(self.limbs);
        (1..len.max(2))
            .map(|j| {
                let mut terms: Vec<String> = columns.get(j).cloned().into_iter().collect();
                terms.extend((j < self.limbs).then(|| times(j)).flatten());
                if j == 1 {
                    terms.push(format!("c{step}"));
                }
                let sum = if terms.is_empty() { format!("{}(0)", self.sum_type()) } else { terms.join(" + ") };
                let _ = writeln!(text, "    let t{step}_{j} = {sum};");
                format!("t{step}_{j}")
            })
            .collect()
    }

    /// Returns the columns as limbs, or packed: carries all but the highest.
    pub(crate) fn carried(&self, text: &mut String, columns: &[String], packed: bool) {
        let _ = writeln!(text, "    let r0 = {};", columns[0]);
        for (limb, column) in columns.iter().enumerate().take(self.limbs).skip(1) {
            let _ = writeln!(text, "    let r{limb} = {column} + (r{} >> {}u);", limb - 1, self.bits);
        }
        let limbs: Vec<_> = (0..self.limbs)
            .map(|limb| {
                if limb >= columns.len() {
                    // One column fewer than limbs: the carry of the highest.
                    return self.low(&format!("(r{} >> {}u)", limb - 1, self.bits));
                }
                let low = self.low(&format!("r{limb}"));
                if limb + 1 == self.limbs { low } else { format!("{low} & {}u", mask(self.bits)) }
            })
            .collect();
        let limbs = format!("{}Limbs({})", self.field.type_name(), limbs.join(", "));
        let value = if packed { format!("{}_pack({limbs})", self.field.prefix()) } else { limbs };
        let _ = writeln!(text, "    return {value};");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_left_for_what_entered_it() {
        for field in Field::ALL {
            for form in Form::ALL {
                // 2^(r + e) is 2^e in the domain of R = 2^r.
                for exponent in [0, 1, 5, 250, 390, 777] {
                    let inside = field.power_of_two(field.radix_bits(form) + exponent);
                    assert_eq!(field.out_of_domain(form, &inside), field.power_of_two(exponent), "{field:?} {form:?}");
                }
            }
        }
    }
}
