//! Folders of very many names: a tree of shards (HAMT), in which a name is found by its hash.
//!
//! The hash is MurmurHash3 x64-128 with seed 0, of which the first 64 bits count, most significant first. A shard has as many places as its
//! fanout, 256 with all writers, so that a byte of the hash tells the place in each level. A place that one name falls to links to what has
//! that name; where there are more is another shard.
//!
//! ```text
//! links    in the order of places: "A7" a shard, "A7name" a name; upper case, as many digits as the last place has
//! data     the places that are taken as a number, place 0 its lowest bit, big-endian, no zero byte in front
//! hashType 0x22    fanout 256
//! ```
//! Source: the UnixFS specification, "HAMT directory"; kubo 0.22 and `ipfs-unixfs-importer` 17.1.1 by what they write (`unixfs.txt`).

use super::data::{Data, Kind};
use crate::codec::dag_pb::{PbLink, PbNode};
use crate::hash::Cid;

/// Code of the hash.
pub const MURMUR3_X64_64: u64 = 0x22;
/// Places of a shard, as all write them.
pub const FANOUT: u64 = 256;
const MAX_FANOUT: u64 = 1024;

/// The hash of a name.
pub fn hash(name: &str) -> u64 {
    let hash = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("bytes in memory can be read");
    hash as u64
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// How many bits of the hash tell the place.
    pub bits: u32,
    /// The places that are taken, in order.
    pub slots: Vec<Slot>,
}

/// A place that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which one.
    pub place: u64,
    /// The name that is there, or none where there is another shard.
    pub name: Option<String>,
    /// The block.
    pub cid: Cid,
    /// Bytes of all blocks below, by who wrote it.
    pub tsize: Option<u64>,
}

impl Shard {
    pub(super) fn new(data: Data, links: Vec<PbLink>) -> Result<Self, String> {
        if data.hash_type != Some(MURMUR3_X64_64) {
            return Err("its names are sharded by a hash that is not known".to_owned());
        }
        let fanout = data.fanout.unwrap_or(0);
        if !fanout.is_power_of_two() || !(8..=MAX_FANOUT).contains(&fanout) {
            return Err(format!("shards of {fanout} places are not known"));
        }
        let slots = links.into_iter().map(|link| Slot::new(link, fanout)).collect::<Result<Vec<_>, _>>()?;
        if slots.windows(2).any(|pair| pair[0].place >= pair[1].place) {
            return Err("places of a shard are out of order".to_owned());
        }
        if bit_field(&slots) != data.data.unwrap_or_default() {
            return Err("the places that a shard says to be taken are others".to_owned());
        }
        Ok(Self { bits: fanout.ilog2(), slots })
    }

    /// The slot of a place.
    pub fn slot(&self, place: u64) -> Option<&Slot> {
        self.slots.binary_search_by_key(&place, |slot| slot.place).ok().and_then(|found| self.slots.get(found))
    }
}

impl Slot {
    fn new(link: PbLink, fanout: u64) -> Result<Self, String> {
        let label = link.name.unwrap_or_default();
        let digits = digits(fanout);
        let wrong = || format!("{label:?} is no name of a place");
        let (front, name) = label.split_at_checked(digits).ok_or_else(wrong)?;
        let place = u64::from_str_radix(front, 16).ok().filter(|place| *place < fanout).ok_or_else(wrong)?;
        if front != format!("{place:0digits$X}") {
            return Err(wrong());
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { place, name, cid: link.cid, tsize: link.tsize })
    }
}

fn digits(fanout: u64) -> usize {
    (fanout - 1).ilog2() as usize / 4 + 1
}

/// The place of a hash in a shard so deep, or none where its bits are used up.
pub fn place(hash: u64, bits: u32, depth: usize) -> Option<u64> {
    let used = u32::try_from(depth + 1).ok()?.checked_mul(bits)?;
    let shift = u64::BITS.checked_sub(used)?;
    Some(hash >> shift & ((1 << bits) - 1))
}

/// Which places are taken.
fn bit_field(slots: &[Slot]) -> Vec<u8> {
    let Some(last) = slots.last() else { return Vec::new() };
    let mut bytes = vec![0; (last.place / 8 + 1) as usize];
    for slot in slots {
        bytes[(last.place / 8 - slot.place / 8) as usize] |= 1 << (slot.place % 8);
    }
    bytes
}

/// The node of a shard of [`FANOUT`] places.
pub(super) fn node(slots: Vec<Slot>) -> PbNode {
    let data = Data {
        data: Some(bit_field(&slots)),
        hash_type: Some(MURMUR3_X64_64),
        fanout: Some(FANOUT),
        ..Data::new(Kind::HamtShard)
    };
    let digits = digits(FANOUT);
    let links = slots.into_iter().map(|Slot { place, name, cid, tsize }| PbLink {
        cid,
        name: Some(format!("{place:0digits$X}{}", name.unwrap_or_default())),
        tsize,
    });
    PbNode { links: links.collect(), data: Some(data.encode()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::HashKind;

    /// SMHasher's x64-128 of an empty key is zero; the other is printed by many implementations.
    #[test]
    fn names_are_hashed_by_murmur3() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("hello"), 0xcbd8_a7b3_41bd_9b02);
    }

    #[test]
    fn bits_of_a_hash_are_taken_from_the_front_until_there_are_none() {
        let hash = 0x0123_4567_89ab_cdef;
        assert_eq!(
            (0..9).map_while(|depth| place(hash, 8, depth)).collect::<Vec<_>>(),
            hash.to_be_bytes().map(u64::from)
        );
        assert_eq!((place(hash, 4, 3), place(hash, 4, 15), place(hash, 4, 16)), (Some(3), Some(15), None));
        assert_eq!(
            (place(u64::MAX, 10, 5), place(hash, 10, 6), place(hash, 8, usize::MAX - 1)),
            (Some(1023), None, None)
        );
    }

    fn slots() -> Vec<Slot> {
        let cid = HashKind::Sha256.cid(0x55, b"").unwrap();
        let slot = |place, name: Option<&str>| Slot { place, name: name.map(str::to_owned), cid, tsize: Some(7) };
        vec![slot(0, Some("é")), slot(10, None), slot(200, Some("FF"))]
    }

    #[test]
    fn shards_are_read_as_written() {
        let node = node(slots());
        let labels = node.links.iter().map(|link| link.name.clone().unwrap()).collect::<Vec<_>>();
        assert_eq!(labels, ["00é", "0A", "C8FF"]);
        let shard = Shard::new(Data::decode(&node.data.unwrap()).unwrap(), node.links).unwrap();
        assert_eq!(shard, Shard { bits: 8, slots: slots() });
        assert_eq!((shard.slot(10), shard.slot(11)), (shard.slots.get(1), None));
    }

    #[test]
    fn shards_that_contradict_themselves_are_refused() {
        let node = node(slots());
        let data = Data::decode(&node.data.unwrap()).unwrap();
        let labelled = |labels: [&str; 3]| {
            let links = node.links.iter().zip(labels);
            links.map(|(link, label)| PbLink { name: Some(label.to_owned()), ..link.clone() }).collect::<Vec<_>>()
        };
        for (data, links, what) in [
            (Data { hash_type: Some(0x12), ..data.clone() }, node.links.clone(), "not known"),
            (Data { fanout: None, ..data.clone() }, node.links.clone(), "0 places"),
            (Data { fanout: Some(100), ..data.clone() }, node.links.clone(), "100 places"),
            (Data { fanout: Some(4096), ..data.clone() }, node.links.clone(), "4096 places"),
            (Data { data: None, ..data.clone() }, node.links.clone(), "are others"),
            (data.clone(), node.links[1..].to_vec(), "are others"),
            (data.clone(), labelled(["00é", "0a", "C8FF"]), "no name of a place"),
            (data.clone(), labelled(["00é", "A", "C8FF"]), "no name of a place"),
            (data.clone(), labelled(["00é", "+A", "C8FF"]), "no name of a place"),
            (data.clone(), labelled(["é", "0A", "C8FF"]), "no name of a place"),
            (data.clone(), labelled(["00é", "00", "C8FF"]), "out of order"),
            (data.clone(), labelled(["0A", "00é", "C8FF"]), "out of order"),
            (Data { fanout: Some(128), ..data.clone() }, node.links.clone(), "no name of a place"),
        ] {
            let error = Shard::new(data, links).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
