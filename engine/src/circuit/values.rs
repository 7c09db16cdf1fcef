//! Field elements most of which are 0 or 1, at two bits each.
//!
//! Over 98 % of a PoRep's variables and evaluations are bits (`spec/snark.md` 6.2 and 6.3), so a witness is kept as two
//! bitmaps and a list of the other values.

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

/// A list of field elements, compact where they are 0 or 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    len: usize,
    /// Bit i of word w: element 64 w + i is 1.
    ones: Vec<u64>,
    /// Bit i of word w: element 64 w + i is in `values`.
    wide: Vec<u64>,
    /// How many wide elements stand before word w.
    wide_before: Vec<u32>,
    values: Vec<Fr>,
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

    /// The elements that are neither 0 nor 1, in order.
    pub fn wide_values(&self) -> &[Fr] {
        &self.values
    }

    /// Appends a bit.
    pub fn push_bit(&mut self, bit: bool) {
        let position = self.grow();
        if bit && let Some(word) = self.ones.last_mut() {
            *word |= 1 << position;
        }
    }

    /// Appends `count` bits, at most 64: those of `bits` from the lowest.
    #[inline]
    pub fn push_bits(&mut self, bits: u64, count: usize) {
        if count == 0 {
            return;
        }
        let bits = bits & (u64::MAX >> (64 - count));
        let position = self.len % 64;
        self.len += count;
        if position > 0 {
            if let Some(word) = self.ones.last_mut() {
                *word |= bits << position;
            }
            if position + count <= 64 {
                return;
            }
        }
        self.ones.push(if position > 0 { bits >> (64 - position) } else { bits });
        self.wide.push(0);
        self.wide_before.push(self.values.len() as u32);
    }

    /// Appends an element.
    pub fn push(&mut self, value: Fr) {
        if value == Fr::ZERO {
            self.push_bit(false);
        } else if value == Fr::ONE {
            self.push_bit(true);
        } else {
            let position = self.grow();
            if let Some(word) = self.wide.last_mut() {
                *word |= 1 << position;
            }
            self.values.push(value);
        }
    }

    /// Makes room for one more and returns its position in the last word.
    fn grow(&mut self) -> usize {
        let position = self.len % 64;
        if position == 0 {
            self.ones.push(0);
            self.wide.push(0);
            self.wide_before.push(self.values.len() as u32);
        }
        self.len += 1;
        position
    }

    /// Appends another list. This one's length must be a multiple of 64.
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.len % 64, 0, "only whole words can be followed by another list");
        let before = self.values.len() as u32;
        self.len += other.len;
        self.ones.extend(other.ones);
        self.wide.extend(other.wide);
        self.wide_before.extend(other.wide_before.iter().map(|count| count + before));
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
        match self.class(index) {
            Class::Zero => Fr::ZERO,
            Class::One => Fr::ONE,
            Class::Wide => {
                let (word, bit) = (index / 64, 1_u64 << (index % 64));
                let rank = (self.wide[word] & (bit - 1)).count_ones();
                self.values[(self.wide_before[word] + rank) as usize]
            }
        }
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Fr> + '_ {
        (0..self.len).map(|index| self.get(index))
    }

    /// Bytes that the list occupies.
    pub fn memory_bytes(&self) -> usize {
        (self.ones.len() + self.wide.len()) * 8 + self.wide_before.len() * 4 + self.values.len() * size_of::<Fr>()
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
        (0..len).map(|i| Fr::from((i * i) % 7)).collect()
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
        let mut joined: Values = plain[..128].iter().copied().collect();
        joined.append(plain[128..].iter().copied().collect());
        assert_eq!(joined, plain.iter().copied().collect());
    }
}
