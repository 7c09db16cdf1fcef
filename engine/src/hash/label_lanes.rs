//! Labels of one node in several sectors at once.
//!
//! Sectors of one graph have the same parents everywhere, so their labels can be hashed in lockstep. The label of a sector
//! is a chain of rounds that nothing shortens ([`label`](super::label)); several such chains side by side keep a core busy,
//! a sector to each lane of its vectors, or two to its SHA unit.
//!
//! Of the 20 blocks of a label at most nine differ, since parents repeat: a block is expanded once, and rounds are run over it
//! as often as it is there. Which kernel is best for how many sectors: [`group_size`].

use crate::field::Node;
use crate::sector::params::DEGREE;
use crate::sector::{Profile, ReplicaId};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls code for instructions that were found at run time")]
mod pair;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "calls code for instructions that were found at run time, loads and stores vectors")]
mod vectors;

/// Sectors of which one layer is being labelled.
pub trait LabelLanes {
    /// The labels of a node other than 0, where each sector's `parents` begin with the labels of `count`, 6 in layer 1 and 14
    /// later.
    ///
    /// # Panics
    /// When there are not as many parents and labels as sectors.
    fn label(&mut self, node: u64, parents: &[[Node; DEGREE]], count: usize, labels: &mut [Node]);
}

/// A way to label several sectors at once.
#[derive(Debug)]
pub struct LaneKernel {
    /// For reports.
    pub name: &'static str,
    /// The network whose labels these are.
    pub profile: Profile,
    /// Sectors at once.
    pub lanes: usize,
    /// Nanoseconds for a label of each, on a core of an AMD EPYC (Zen 4) at 3.7 GHz: for choosing between kernels.
    cost: usize,
    available: fn() -> bool,
    begin: fn(&[ReplicaId], u32) -> Box<dyn LabelLanes>,
}

impl LaneKernel {
    /// Begins a layer, which counts from 1, of so many sectors; `None` when the processor lacks the instructions or there are not
    /// as many replica ids as lanes.
    pub fn begin(&self, replica_ids: &[ReplicaId], layer: u32) -> Option<Box<dyn LabelLanes>> {
        ((self.available)() && replica_ids.len() == self.lanes).then(|| (self.begin)(replica_ids, layer))
    }

    /// The kernels of a network that this processor has.
    pub fn available(profile: Profile) -> impl Iterator<Item = &'static Self> {
        KERNELS.iter().filter(move |kernel| kernel.profile == profile && (kernel.available)())
    }

    /// The one for so many sectors, with as few idle lanes as can be.
    pub fn holding(profile: Profile, sectors: usize) -> Option<&'static Self> {
        Self::available(profile).filter(|kernel| kernel.lanes >= sectors).min_by_key(|kernel| kernel.cost)
    }
}

#[cfg(not(target_arch = "x86_64"))]
static KERNELS: [LaneKernel; 0] = [];
#[cfg(target_arch = "x86_64")]
static KERNELS: [LaneKernel; 5] = [
    LaneKernel {
        name: "SHA instructions",
        profile: Profile::Filecoin,
        lanes: 2,
        cost: 820,
        available: super::sha256_ni::available,
        begin: pair::begin,
    },
    LaneKernel {
        name: "AVX2",
        profile: Profile::Filecoin,
        lanes: vectors::sha256_eight::LANES,
        cost: 5200,
        available: vectors::sha256_eight::available,
        begin: vectors::sha256_eight::begin,
    },
    LaneKernel {
        name: "AVX-512",
        profile: Profile::Filecoin,
        lanes: vectors::sha256_sixteen::LANES,
        cost: 6070,
        available: vectors::sha256_sixteen::available,
        begin: vectors::sha256_sixteen::begin,
    },
    LaneKernel {
        name: "AVX2",
        profile: Profile::Filecash,
        lanes: vectors::sha512_four::LANES,
        cost: 6220,
        available: vectors::sha512_four::available,
        begin: vectors::sha512_four::begin,
    },
    LaneKernel {
        name: "AVX-512",
        profile: Profile::Filecash,
        lanes: vectors::sha512_eight::LANES,
        cost: 7400,
        available: vectors::sha512_eight::available,
        begin: vectors::sha512_eight::begin,
    },
];

/// Nanoseconds for a label of one sector by itself, on the same core.
fn cost_of_one(profile: Profile) -> usize {
    match profile {
        #[cfg(target_arch = "x86_64")]
        Profile::Filecoin if super::sha256_ni::available() => 690,
        // Without instructions for it.
        Profile::Filecoin => 4000,
        Profile::Filecash => 3300,
    }
}

/// How many sectors to label in lockstep when there are so many, so many threads, and room for so many at a time: the number
/// that has them all done first. At least 1, at most `at_once`.
pub fn group_size(profile: Profile, sectors: usize, threads: usize, at_once: usize) -> usize {
    let time = |(size, cost): (usize, usize)| {
        let together = threads.min(at_once / size).max(1);
        (sectors.div_ceil(size).div_ceil(together) * cost, size)
    };
    let sizes = LaneKernel::available(profile).flat_map(|kernel| (2..=kernel.lanes).map(|size| (size, kernel.cost)));
    let sizes = sizes.filter(|(size, _)| *size <= at_once.min(sectors));
    sizes.chain([(1, cost_of_one(profile))]).map(time).min().map_or(1, |(_, size)| size)
}

/// How many threads label groups of `size` sectors each, of so many sectors and with room for so many at a time.
pub fn group_workers(size: usize, sectors: usize, threads: usize, at_once: usize) -> usize {
    threads.min(at_once / size).clamp(1, sectors.div_ceil(size).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::label::{label, repeat};

    fn nodes<const COUNT: usize>(seed: usize) -> [Node; COUNT] {
        std::array::from_fn(|i| std::array::from_fn(|byte| (seed * 131 + i * 29 + byte * byte * 7 + (seed >> 3)) as u8))
    }

    #[test]
    fn lanes_match_single_labels() {
        for profile in Profile::ALL {
            for kernel in LaneKernel::available(profile) {
                let ids: Vec<ReplicaId> = (0..kernel.lanes).map(|lane| nodes::<1>(lane + 50)[0]).collect();
                // Not as many ids as lanes.
                assert!(kernel.begin(&ids[1..], 1).is_none());
                for (layer, count) in [(1, 6), (2, 14), (11, 14)] {
                    let mut lanes = kernel.begin(&ids, layer).unwrap();
                    for (seed, node) in [1, 2, 0x7fff_ffff, 0x1_2345_6789].into_iter().enumerate() {
                        let mut parents: Vec<[Node; DEGREE]> =
                            (0..kernel.lanes).map(|lane| nodes(lane + seed)).collect();
                        parents[0][1] = [0xff; 32];
                        let mut labels = vec![[0xff; 32]; kernel.lanes];
                        lanes.label(node, &parents, count, &mut labels);
                        for (lane, actual) in labels.iter().enumerate() {
                            let expected = label(profile, &ids[lane], layer, node, &repeat(&parents[lane][..count]));
                            assert_eq!(*actual, expected, "{} of {profile}, lane {lane}", kernel.name);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn groups_fit_and_keep_every_thread_busy() {
        for profile in Profile::ALL {
            for (sectors, threads, at_once) in [(1, 1, 1), (1, 8, 100), (5, 2, 1), (16, 2, 3), (100, 2, 64), (7, 64, 7)]
            {
                let size = group_size(profile, sectors, threads, at_once);
                assert!((1..=at_once.min(sectors)).contains(&size), "{sectors} {threads} {at_once}: {size}");
            }
            // One thread each is better than sharing one.
            assert_eq!(group_size(profile, 4, 4, 4), 1);
        }
        if LaneKernel::holding(Profile::Filecoin, 2).is_some_and(|kernel| kernel.lanes == 2) {
            assert_eq!(group_size(Profile::Filecoin, 4, 2, 4), 2);
        }
        if LaneKernel::holding(Profile::Filecash, 8).is_some() {
            assert_eq!(group_size(Profile::Filecash, 16, 2, 16), 8);
        }
    }
}
