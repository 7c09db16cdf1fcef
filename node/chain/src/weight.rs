//! How heavy chains are, as far as headers tell.
//!
//! ```text
//! weight(tipset) = parent weight + 256·L + ⌊256·L·Σ win counts / (2·E)⌋        L = bits of the network's power − 1
//! ```
//!
//! The power is in the ledger, but a tipset says what its parents weigh, and what they added grows with L: no more than one L explains it,
//! and a weight that none does is wrong. A tipset's own L is taken to be that of its parents. It is another one only where the
//! power passed a power of two in between, which the next tipset sets right.
//!
//! Source: `spec/chain.md` 4.2.

use num_bigint::BigInt;

use crate::amount::Amount;
use crate::check::Rules;
use crate::tipset::Tipset;

/// The largest L: far more bytes than there are.
const MAX_LEVEL: i128 = 127;

/// A weight to which no power leads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tipset says that its parents weigh {said}, to which no power leads from the {before} that theirs do")]
pub struct WeightFault {
    /// What the parents say of theirs.
    pub before: Amount,
    /// What is said of the parents.
    pub said: Amount,
}

/// The weight of a tipset that builds on another.
///
/// # Errors
/// [`WeightFault`] when the parents cannot weigh what it says.
pub fn of(tipset: &Tipset, parents: &Tipset, rules: &Rules) -> Result<Amount, WeightFault> {
    let (said, before) = (&tipset.first().parent_weight, &parents.first().parent_weight);
    let added = i128::try_from(&said.0 - &before.0).ok();
    let level = added.and_then(|added| level_of(added, wins(parents), rules));
    let level = level.ok_or_else(|| WeightFault { before: before.clone(), said: said.clone() })?;
    Ok(Amount(&said.0 + BigInt::from(step(level, wins(tipset), rules))))
}

/// How many elections the blocks of a tipset won.
fn wins(tipset: &Tipset) -> i128 {
    let counts = tipset.headers().filter_map(|header| header.election_proof.as_ref());
    // A block with more is wrong, whatever it weighs.
    counts.map(|proof| i128::from(proof.win_count.clamp(0, 1 << 16))).sum()
}

fn step(level: i128, wins: i128, rules: &Rules) -> i128 {
    let doubled_leaders = i128::from(rules.leaders_per_epoch.max(1)) * 2;
    256 * level + 256 * level * wins / doubled_leaders
}

fn level_of(added: i128, wins: i128, rules: &Rules) -> Option<i128> {
    (0..=MAX_LEVEL).find(|level| step(*level, wins, rules) >= added).filter(|level| step(*level, wins, rules) == added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::tests::header;

    const RULES: Rules = Rules::MAINNET;

    fn tipset(height: i64, weight: u64, win_counts: &[i64]) -> Tipset {
        let headers = win_counts.iter().enumerate().map(|(miner, win_count)| {
            let mut header = header(miner as u64, height, vec![]);
            header.parent_weight = Amount::from(weight);
            header.election_proof.as_mut().unwrap().win_count = *win_count;
            header
        });
        Tipset::new(headers.collect()).unwrap()
    }

    #[test]
    fn weight_grows_by_what_power_and_wins_give() {
        // L = 50: 256·50 and 256·50·3/10.
        let parents = tipset(5, 1000, &[1, 2]);
        let child = |wins: &[i64]| tipset(6, 1000 + 12_800 + 3_840, wins);
        assert_eq!(of(&child(&[1]), &parents, &RULES), Ok(Amount::from(17_640 + 12_800 + 1_280)));
        assert_eq!(of(&child(&[1, 1]), &parents, &RULES), Ok(Amount::from(17_640 + 12_800 + 2_560)));
        let nothing = tipset(6, 1000, &[1]);
        assert_eq!(of(&nothing, &parents, &RULES), Ok(Amount::from(1000)));
    }

    #[test]
    fn weights_that_no_power_explains_are_wrong() {
        let parents = tipset(5, 1000, &[1, 2]);
        let most = step(MAX_LEVEL, 3, &RULES) as u64;
        assert!(of(&tipset(6, 1000 + most, &[1]), &parents, &RULES).is_ok());
        for weight in [999, 1001, 17_639, 17_641, 1000 + most + 1, u64::MAX] {
            let fault = WeightFault { before: Amount::from(1000), said: Amount::from(weight) };
            assert_eq!(of(&tipset(6, weight, &[1]), &parents, &RULES), Err(fault));
        }
        let mut huge = tipset(6, 0, &[1]).first().clone();
        huge.parent_weight = Amount(BigInt::from(1) << 1000);
        assert!(of(&Tipset::new(vec![huge]).unwrap(), &parents, &RULES).is_err());
    }
}
