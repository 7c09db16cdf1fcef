//! Constants of the kernels, as the words of their buffers, computed from the CPU's.

use filecash_shaders::field::Form;
use filecash_shaders::poseidon::{HALF_FULL_ROUNDS, Table};

use crate::hash::poseidon_constants::{Tag, constants};
use crate::hash::poseidon_scaled::Scaled;

/// Where the constants of an arity are, in elements of a form.
pub fn poseidon_table(arity: usize, form: Form) -> Table {
    Table { width: arity + 1, partial_rounds: constants(arity, Tag::Merkle).partial_rounds, form }
}

/// The constants of an instance, under the tag of Merkle trees.
pub fn poseidon_words(table: &Table) -> Vec<u32> {
    match table.form {
        Form::Narrow => words::<20>(table),
        Form::Wide => words::<9>(table),
    }
}

fn words<const L: usize>(table: &Table) -> Vec<u32> {
    debug_assert_eq!(table.limbs(), L);
    let (bits, digits) = (table.bits(), table.digits());
    let scaled = Scaled::<L>::new(constants(table.width - 1, Tag::Merkle), bits, bits * digits as u32);
    let mut words = vec![0; table.words()];
    let mut put = |at: usize, limbs: &[u64; L]| {
        for (word, limb) in words[at..].iter_mut().zip(limbs) {
            *word = *limb as u32;
        }
    };
    for (input, key) in scaled.input_keys.iter().enumerate() {
        put(table.input_key(input), key);
    }
    let partial = HALF_FULL_ROUNDS..HALF_FULL_ROUNDS + table.partial_rounds;
    let full_rounds = (0..table.rounds()).filter(|round| !partial.contains(round));
    for (round, keys) in full_rounds.zip(&scaled.full_keys) {
        keys.iter().enumerate().for_each(|(row, key)| put(table.key(round, row), key));
    }
    for (place, round) in scaled.partial.iter().enumerate() {
        put(table.key(HALF_FULL_ROUNDS + place, 0), &round.key);
        put(table.scale(place), &round.scale);
    }
    for (row, key) in scaled.last_partial_keys.iter().enumerate() {
        put(table.key(partial.end - 1, row), key);
    }
    put(table.unscale(), &scaled.unscale);
    for (sum, entry) in scaled.matrix.iter().enumerate() {
        for digit in 0..digits {
            words[table.entry(sum) + digit] = (entry >> (bits * digit as u32)) as u32 & ((1_u32 << bits) - 1);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use filecash_shaders::poseidon::INSTANCES;

    use super::*;

    #[test]
    fn kernels_are_those_of_the_constants() {
        for (arity, partial_rounds) in INSTANCES {
            assert_eq!(constants(arity, Tag::Merkle).partial_rounds, partial_rounds, "{arity}");
        }
    }
}
