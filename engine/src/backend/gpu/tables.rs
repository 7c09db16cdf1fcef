//! Constants of the kernels, as the words of their buffers, computed from the CPU's.

use filecash_shaders::field::Form;
use filecash_shaders::labels::LabelHash;
use filecash_shaders::poseidon::{HALF_FULL_ROUNDS, Table};
use filecash_shaders::sha256;

use crate::hash::poseidon_constants::{Tag, constants};
use crate::hash::poseidon_scaled::Scaled;
use crate::hash::sha512_blocks;
use crate::sector::Profile;

/// Where the constants of an arity are, in elements of a form.
pub fn poseidon_table(arity: usize, form: Form) -> Table {
    Table { width: arity + 1, partial_rounds: constants(arity, Tag::Merkle).partial_rounds, form }
}

/// What labels of a profile are hashed with.
pub fn label_hash(profile: Profile, form: Form) -> LabelHash {
    match profile {
        Profile::Filecoin => LabelHash::Sha256,
        Profile::Filecash => LabelHash::Sha512(form),
    }
}

/// The constants of the rounds, then the initial state; words of 64 bits have their high half first.
pub fn label_words(hash: LabelHash) -> Vec<u32> {
    match hash {
        LabelHash::Sha256 => sha256::round_constants().into_iter().chain(sha256::INITIAL).collect(),
        LabelHash::Sha512(_) => {
            let words = sha512_blocks::K.into_iter().chain(sha512_blocks::INITIAL);
            words.flat_map(|word| [(word >> 32) as u32, word as u32]).collect()
        }
    }
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
