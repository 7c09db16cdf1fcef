//! Field elements most of which are 0 or 1, at two bits each.
//!
//! Over 98 % of a PoRep's variables and evaluations are small (`spec/snark.md` 6.2 and 6.3): variables are bits, linear
//! combinations of bits are −1, 0, 1 or 2. So a list is kept as bitmaps and a list of the other values:
//!
//! | Element | `ones` | `wide` | `minus` |
//! |---|---|---|---|
//! | 0 | 0 | 0 | 0 |
//! | 1 | 1 | 0 | 0 |
//! | 2 | 1 | 1 | 0 |
//! | −1 | 1 | 1 | 1 |
//! | in `values` | 0 | 1 | 0 |

use ff::Field;

use crate::field::Fr;

/// What an element is, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 0.
    Zero,
    /// 1.
    One,
    /// Anything else.
    Wide,
}

/// A list of field elements, compact where they are small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    len: usize,
    ones: Vec<u64>,
    wide: Vec<u64>,
    /// Empty as long as no element is −1.
    minus: Vec<u64>,
    /// How many elements of `values` belong before word w.
    before: Vec<u32>,
    values: Vec<Fr>,
}

/// The words of some elements: 64 or fewer.
#[derive(Clone, Copy, Default)]
struct Maps {
    ones: u64,
    wide: u64,
    minus: u64,
}

impl Maps {
    fn map(self, map: impl Fn(u64) -> u64) -> Self {
        Self { ones: map(self.ones), wide: map(self.wide), minus: map(self.minus) }
    }

    /// How many of the elements are in `values`.
    fn stored(self) -> u32 {
        (self.wide & !self.ones).count_ones()
    }
}

impl Values {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a bit.
    pub fn push_bit(&mut self, bit: bool) {
        self.push_bits(u64::from(bit), 1);
    }

    /// Appends `count` bits, at most 64: those of `bits` from the lowest.
    #[inline]
    pub fn push_bits(&mut self, bits: u64, count: usize) {
        if count > 0 {
            let ones = bits & (u64::MAX >> (64 - count));
            self.push_maps(Maps { ones, ..Maps::default() }, count, self.values.len() as u32);
        }
    }

    /// Appends a small integer.
    #[inline]
    pub fn push_small(&mut self, value: i64) {
        let maps = match value {
            0 => Maps::default(),
            1 => Maps { ones: 1, ..Maps::default() },
            2 => Maps { ones: 1, wide: 1, minus: 0 },
            -1 => Maps { ones: 1, wide: 1, minus: 1 },
            _ => {
                let magnitude = Fr::from(value.unsigned_abs());
                return self.push_stored(if value < 0 { -magnitude } else { magnitude });
            }
        };
        self.push_maps(maps, 1, self.values.len() as u32);
    }

    /// Appends an element.
    pub fn push(&mut self, value: Fr) {
        match value {
            v if v == Fr::ZERO => self.push_small(0),
            v if v == Fr::ONE => self.push_small(1),
            v if v == Fr::from(2) => self.push_small(2),
            v if v == -Fr::ONE => self.push_small(-1),
            _ => self.push_stored(value),
        }
    }

    fn push_stored(&mut self, value: Fr) {
        self.push_maps(Maps { wide: 1, ..Maps::default() }, 1, self.values.len() as u32);
        self.values.push(value);
    }

    /// Appends `count` elements, from 1 to 64, the bits above them zero. `before` elements of `values` belong before.
    #[inline]
    fn push_maps(&mut self, maps: Maps, count: usize, before: u32) {
        if maps.minus != 0 && self.minus.is_empty() {
            self.minus.resize(self.ones.len(), 0);
        }
        let (last, position) = (self.ones.len().wrapping_sub(1), self.len % 64);
        self.len += count;
        if position == 0 {
            return self.push_words(maps, before);
        }
        let here = maps.map(|word| word << position);
        self.ones[last] |= here.ones;
        self.wide[last] |= here.wide;
        if let Some(word) = self.minus.last_mut() {
            *word |= here.minus;
        }
        if position + count > 64 {
            let before = before + here.map(|word| word >> position).stored();
            self.push_words(maps.map(|word| word >> (64 - position)), before);
        }
    }

    #[inline]
    fn push_words(&mut self, maps: Maps, before: u32) {
        if maps.minus != 0 || !self.minus.is_empty() {
            self.minus.push(maps.minus);
        }
        self.ones.push(maps.ones);
        self.wide.push(maps.wide);
        self.before.push(before);
    }

    /// Appends another list.
    pub fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let start = self.values.len() as u32;
        for (word, before) in other.before.iter().enumerate() {
            let maps = Maps {
                ones: other.ones[word],
                wide: other.wide[word],
                minus: other.minus.get(word).copied().unwrap_or(0),
            };
            self.push_maps(maps, (other.len - 64 * word).min(64), start + before);
        }
        self.values.extend(other.values);
    }

    /// What element `index` is.
    pub fn class(&self, index: usize) -> Class {
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        if self.wide[word] & bit != 0 {
            Class::Wide
        } else if self.ones[word] & bit != 0 {
            Class::One
        } else {
            Class::Zero
        }
    }

    /// Element `index`.
    pub fn get(&self, index: usize) -> Fr {
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        let (ones, wide) = (self.ones[word], self.wide[word]);
        match (ones & bit != 0, wide & bit != 0) {
            (false, false) => Fr::ZERO,
            (true, false) => Fr::ONE,
            (true, true) if self.minus.get(word).is_some_and(|minus| minus & bit != 0) => -Fr::ONE,
            (true, true) => Fr::from(2),
            (false, true) => {
                let rank = (wide & !ones & (bit - 1)).count_ones();
                self.values[(self.before[word] + rank) as usize]
            }
        }
    }

    /// Which of `count` elements from `start` are 1, and which are neither 0 nor 1: a bit for each. At most 64.
    pub(super) fn read(&self, start: usize, count: usize) -> (u64, u64) {
        debug_assert!(0 < count && count <= 64 && start + count <= self.len);
        let (word, shift, mask) = (start / 64, start % 64, u64::MAX >> (64 - count));
        let field = |map: &[u64]| {
            let high = map.get(word + 1).map_or(0, |next| next << 1 << (63 - shift));
            (map[word] >> shift | high) & mask
        };
        let (ones, wide) = (field(&self.ones), field(&self.wide));
        (ones & !wide, wide)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Fr> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Bytes that the list occupies.
    pub fn memory_bytes(&self) -> usize {
        (self.ones.len() + self.wide.len() + self.minus.len()) * 8
            + self.before.len() * 4
            + self.values.len() * size_of::<Fr>()
    }
}

impl FromIterator<Fr> for Values {
    fn from_iter<I: IntoIterator<Item = Fr>>(values: I) -> Self {
        let mut list = Self::new();
        values.into_iter().for_each(|value| list.push(value));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(len: u64) -> Vec<Fr> {
        (0..len).map(|i| Fr::from((i * i) % 7) - Fr::from(i / 70 % 3)).collect()
    }

    #[test]
    fn elements_come_back() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let plain = sample(len);
            let compact: Values = plain.iter().copied().collect();
            assert_eq!(compact.len(), plain.len());
            assert_eq!(compact.iter().collect::<Vec<_>>(), plain);
            for (index, value) in plain.iter().enumerate() {
                let class = match value {
                    v if *v == Fr::ZERO => Class::Zero,
                    v if *v == Fr::ONE => Class::One,
                    _ => Class::Wide,
                };
                assert_eq!(compact.class(index), class);
            }
        }
    }

    #[test]
    fn words_of_bits_equal_single_bits() {
        let (mut words, mut single) = (Values::new(), Values::new());
        for step in 0..500_u64 {
            let (bits, count) = (step.wrapping_mul(0x9e37_79b9_7f4a_7c15), (step * 7 % 65) as usize);
            words.push_bits(bits, count);
            (0..count).for_each(|i| single.push_bit(bits >> i & 1 == 1));
            if step % 5 == 0 {
                words.push(Fr::from(step));
                single.push(Fr::from(step));
            }
        }
        assert_eq!(words, single);
    }

    #[test]
    fn appended_lists_equal_one_list() {
        let plain = sample(500);
        for cut in [0, 1, 60, 64, 128, 191, 499, 500] {
            let mut joined: Values = plain[..cut].iter().copied().collect();
            joined.append(plain[cut..].iter().copied().collect());
            assert_eq!(joined, plain.iter().copied().collect(), "{cut}");
        }
    }

    #[test]
    fn small_elements_take_no_space_of_their_own() {
        let mut small = Values::new();
        (0..6400).for_each(|i| small.push_small(i % 4 - 1));
        assert_eq!(small.memory_bytes(), 100 * (3 * 8 + 4));
        let plain: Values = (0..6400).map(|i| Fr::from((i % 4) as u64) - Fr::ONE).collect();
        assert_eq!(small, plain);
    }

    #[test]
    fn runs_are_read_at_any_place() {
        let plain = sample(500);
        let compact: Values = plain.iter().copied().collect();
        for (start, count) in [(0, 1), (0, 64), (3, 64), (63, 2), (127, 64), (440, 60), (499, 1)] {
            let bits = |wanted: Class| {
                (0..count).filter(|i| compact.class(start + i) == wanted).fold(0, |sum, i| sum | 1_u64 << i)
            };
            assert_eq!(compact.read(start, count), (bits(Class::One), bits(Class::Wide)), "{start} {count}");
        }
    }
}
