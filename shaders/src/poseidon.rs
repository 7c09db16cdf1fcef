//! The text of the Poseidon permutation of one width.
//!
//! The form with a matrix of small integers (`engine/src/hash/poseidon_scaled.rs` derives it): a round is S-boxes, in a
//! partial round a product by a constant, then rows `(key + Σ_k N[row + k]·s_k)/2^(digits·bits)` with entries of few
//! digits. The state is in registers with names; loops over it rotate the names instead of indexing, so that the
//! machine code holds one S-box and one row however wide the state is. The rows of a round wait for it to end in registers too,
//! or in workgroup memory where registers do not hold two states.
//!
//! Constants are a buffer of limbs, one to a word, made by the engine ([`Table`] says where what is).

use std::fmt::Write;

use crate::field::{Field, Form, Generator, mask};

/// Full rounds before the partial ones, and after them.
pub const HALF_FULL_ROUNDS: usize = 4;

/// Invocations of a workgroup.
pub const WORKGROUP: usize = 64;

/// Arities that have a kernel, with the partial rounds of their permutations: trees, and columns of every number of layers.
pub const INSTANCES: [(usize, usize); 5] = [(2, 55), (4, 56), (5, 56), (8, 57), (11, 57)];

/// An instance of the permutation in one form: where its constants are in their buffer of 32-bit words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table {
    /// Elements of the state: inputs and one more.
    pub width: usize,
    /// Partial rounds.
    pub partial_rounds: usize,
    /// The form of elements.
    pub form: Form,
}

impl Table {
    /// Words of an element.
    pub fn limbs(&self) -> usize {
        Field::Fr.limbs(self.form)
    }

    /// Bits of a limb and of a digit.
    pub fn bits(&self) -> u32 {
        Field::Fr.limb_bits(self.form)
    }

    /// Digits of an entry of the matrix of integers, `lcm(t, …, 3t − 2)/t` at most; a row is divided by so many limbs.
    pub fn digits(&self) -> usize {
        let largest = common_multiple(self.width) / self.width as u64;
        (u64::BITS - largest.leading_zeros()).div_ceil(self.bits()) as usize
    }

    /// Whether elements of the state are packed words between operations: 20 limbs would take too many registers.
    fn is_packed(&self) -> bool {
        self.form == Form::Narrow
    }

    /// Whether the rows of a round wait in workgroup memory for the round to end, because registers do not hold two states.
    fn is_shared(&self) -> bool {
        // Measured by what RADV and software Vulkan make of either: without need, memory is no faster.
        let widest = match self.form {
            Form::Narrow => 6,
            Form::Wide => 9,
        };
        self.width > widest
    }

    /// Words of an element of the state.
    fn state_words(&self) -> usize {
        if self.is_packed() { Field::Fr.words() } else { self.limbs() }
    }

    /// Rounds of both kinds.
    pub fn rounds(&self) -> usize {
        2 * HALF_FULL_ROUNDS + self.partial_rounds
    }

    /// Where the digits of `N[i][j]` with `i + j = sum` begin, for sums up to `2·width − 2`.
    pub fn entry(&self, sum: usize) -> usize {
        sum * self.digits()
    }

    /// Where the constant begins that is added to input number `input`.
    pub fn input_key(&self, input: usize) -> usize {
        self.entry(2 * self.width - 1) + input * self.limbs()
    }

    /// Where the constant begins that is added to a row's sum; zeros where there is none.
    pub fn key(&self, round: usize, row: usize) -> usize {
        self.input_key(self.width - 1) + (round * self.width + row) * self.limbs()
    }

    /// Where the factor of a partial round's S-box begins.
    pub fn scale(&self, partial_round: usize) -> usize {
        self.key(self.rounds(), 0) + partial_round * self.limbs()
    }

    /// Where the factor of the hash begins.
    pub fn unscale(&self) -> usize {
        self.scale(self.partial_rounds)
    }

    /// Words of the whole buffer.
    pub fn words(&self) -> usize {
        self.unscale() + self.limbs()
    }

    /// The WGSL text: `fn poseidon(parent: u32, lane: u32) -> Fr`, the hash of the inputs `children[parent·arity…]` by an
    /// invocation of this number in its workgroup.
    pub fn source(&self) -> String {
        let generator = Generator::new(Field::Fr, self.form);
        let (t, limbs) = (self.width, self.limbs());
        let mut text = String::new();
        let fields = |body: &dyn Fn(usize) -> String| (0..limbs).map(body).collect::<Vec<_>>().join(", ");

        let _ = writeln!(text, "fn constant(at: u32) -> FrLimbs {{");
        let _ = writeln!(text, "    return FrLimbs({});\n}}\n", fields(&|limb| format!("constants[at + {limb}u]")));

        // A canonical input and a constant, each below r.
        let _ = writeln!(text, "fn keyed(x: FrLimbs, y: FrLimbs) -> FrLimbs {{");
        let _ = writeln!(text, "    let r0 = x.l0 + y.l0;");
        for limb in 1..limbs {
            let below = limb - 1;
            let _ = writeln!(text, "    let r{limb} = x.l{limb} + y.l{limb} + (r{below} >> {}u);", self.bits());
        }
        let masked =
            |limb| if limb + 1 == limbs { format!("r{limb}") } else { format!("r{limb} & {}u", mask(self.bits())) };
        let _ = writeln!(text, "    return FrLimbs({});\n}}\n", fields(&masked));

        self.row(&generator, &mut text);

        let names = |letter: char| (0..t).map(|i| format!("{letter}{i}")).collect::<Vec<_>>();
        let (state, next) = (names('s'), names('n'));
        let rotate = |text: &mut String, names: &[String], last: &str| {
            for pair in names.windows(2) {
                let _ = writeln!(text, "            {} = {};", pair[0], pair[1]);
            }
            let _ = writeln!(text, "            {} = {last};", names[t - 1]);
        };
        // How elements are kept, and how they are multiplied.
        let packed = self.is_packed();
        let (element, multiply) = if packed { ("Fr", "fr_mul") } else { ("FrLimbs", "fr_limbs_mul") };
        let kept = |limbs: String| if packed { format!("fr_pack({limbs})") } else { limbs };

        let (shared, state_words) = (self.is_shared(), self.state_words());
        if shared {
            let words = t * state_words * WORKGROUP;
            let _ = writeln!(text, "var<workgroup> rows_done: array<u32, {words}>;\n");
        }
        let place =
            |row: &str, word: usize| format!("rows_done[({row} * {state_words}u + {word}u) * {WORKGROUP}u + lane]");
        let word_of = |x: &str, word: usize| {
            if packed { Generator::new(Field::Fr, self.form).word(x, word) } else { format!("{x}.l{word}") }
        };
        let loaded = |row: usize| {
            let words: Vec<_> = (0..state_words).map(|word| place(&format!("{row}u"), word)).collect();
            if packed {
                format!("Fr(vec4<u32>({}), vec4<u32>({}))", words[..4].join(", "), words[4..].join(", "))
            } else {
                format!("FrLimbs({})", words.join(", "))
            }
        };

        let _ = writeln!(text, "fn poseidon(parent: u32, lane: u32) -> Fr {{");
        let _ = writeln!(text, "    let first = parent * {}u;", t - 1);
        let _ = writeln!(text, "    var s0 = {element}();");
        for i in 1..t {
            let (input, key) = (i - 1, self.input_key(i - 1));
            let limbs = format!("keyed(fr_unpack(children[first + {input}u]), constant({key}u))");
            let _ = writeln!(text, "    var s{i} = {};", kept(limbs));
        }
        for name in next.iter().filter(|_| !shared) {
            let _ = writeln!(text, "    var {name} = s0;");
        }
        let (half, partial) = (HALF_FULL_ROUNDS, HALF_FULL_ROUNDS + self.partial_rounds);
        let last = self.rounds() - 1;
        let _ = writeln!(text, "    for (var round = 0u; round < {}u; round++) {{", self.rounds());
        let _ = writeln!(text, "        let is_partial = round >= {half}u && round < {partial}u;");
        let _ = writeln!(text, "        let boxes = select({t}u, 1u, is_partial);");
        let _ = writeln!(text, "        for (var i = 0u; i < boxes; i++) {{");
        let _ = writeln!(text, "            var y = s0;");
        let _ = writeln!(text, "            var square = {multiply}(y, y);");
        let _ = writeln!(text, "            square = {multiply}(square, square);");
        let _ = writeln!(text, "            y = {multiply}(square, y);");
        let _ = writeln!(text, "            if is_partial {{");
        let _ = writeln!(
            text,
            "                s0 = {multiply}(y, {});",
            kept(format!("constant({}u + (round - {half}u) * {limbs}u)", self.scale(0)))
        );
        let _ = writeln!(text, "                continue;\n            }}");
        rotate(&mut text, &state, "y");
        let _ = writeln!(text, "        }}");
        let _ = writeln!(text, "        let is_last = round == {last}u;");
        let _ = writeln!(text, "        let rows = select({t}u, 2u, is_last);");
        let _ = writeln!(text, "        for (var row = select(0u, 1u, is_last); row < rows; row++) {{");
        let _ = writeln!(text, "            let sum = row_sum({}, round, row);", state.join(", "));
        if shared {
            for word in 0..state_words {
                let _ = writeln!(text, "            {} = {};", place("row", word), word_of("sum", word));
            }
        } else {
            rotate(&mut text, &next, "sum");
        }
        let _ = writeln!(text, "        }}");
        for (row, (state, next)) in state.iter().zip(&next).enumerate() {
            let value = if shared { loaded(row) } else { next.clone() };
            let _ = writeln!(text, "        {state} = {value};");
        }
        let _ = writeln!(text, "    }}");
        let _ = writeln!(
            text,
            "    let hash = {multiply}(s{}, {});\n    return fr_less_p({});\n}}",
            // Rotated once, the row that was computed in the last round is the last.
            if shared { 1 } else { t - 1 },
            kept(format!("constant({}u)", self.unscale())),
            if packed { "hash" } else { "fr_pack(hash)" }
        );
        text
    }

    /// `fn row_sum(s…, round, row)`: one row of the mixing.
    ///
    /// A column holds at most `width·digits` products of digits and limbs, `digits` more of the reduction, a constant's
    /// limb and a carry: with 13 bits `(12·4 + 4)·2^26 < 2^32`, with 29 bits `(12·2 + 2)·2^58 < 2^63`. Entries of a row
    /// sum up to less than 2^53 and elements are below 2^257, so the row comes out below 2^252 + r.
    fn row(&self, generator: &Generator, text: &mut String) {
        let (t, limbs, digits) = (self.width, self.limbs(), self.digits());
        let packed = self.is_packed();
        let element = if packed { "Fr" } else { "FrLimbs" };
        let parameters: Vec<_> = (0..t).map(|i| format!("s{i}: {element}")).collect();
        let _ = writeln!(text, "fn row_sum({}, round: u32, row: u32) -> {element} {{", parameters.join(", "));
        let _ = writeln!(text, "    let at = {}u + (round * {t}u + row) * {limbs}u;", self.key(0, 0));
        let sum_type = generator.sum_type();
        let mut columns: Vec<String> = (0..limbs).map(|limb| format!("{sum_type}(constants[at + {limb}u])")).collect();
        columns.extend((1..digits).map(|_| format!("{sum_type}(0)")));
        for (column, key) in columns.iter().enumerate() {
            let _ = writeln!(text, "    var k{column} = {key};");
        }
        for i in 0..t {
            for digit in 0..digits {
                let _ = writeln!(text, "    let e{i}_{digit} = constants[(row + {i}u) * {digits}u + {digit}u];");
            }
            let name = if packed { format!("x{i}") } else { format!("s{i}") };
            if packed {
                let _ = writeln!(text, "    let x{i} = fr_unpack(s{i});");
            }
            for limb in 0..limbs {
                for digit in 0..digits {
                    let product = generator.product(&format!("e{i}_{digit}"), &format!("{name}.l{limb}"));
                    let _ = writeln!(text, "    k{} += {product};", limb + digit);
                }
            }
        }
        let mut columns: Vec<String> = (0..columns.len()).map(|column| format!("k{column}")).collect();
        for digit in 0..digits {
            columns = generator.montgomery_step(text, &format!("{digit}"), &columns);
        }
        generator.carried(text, &columns, packed);
        let _ = writeln!(text, "}}\n");
    }
}

/// `lcm(t, …, 3t − 2)`: the matrix `1/(i + j + t)` times it is of integers.
fn common_multiple(width: usize) -> u64 {
    let gcd = |mut a: u64, mut b: u64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (width as u64..3 * width as u64 - 1).fold(1, |common, factor| common / gcd(common, factor) * factor)
}
