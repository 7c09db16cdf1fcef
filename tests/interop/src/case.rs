//! Sectors to seal: size, rules, identity and pieces, all computed from a name.

use sha2::{Digest, Sha256};

/// Which rules of graph and challenges; the numbers are the reference's API versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// API version 1.0.0.
    V1_0_0,
    /// API version 1.1.0.
    V1_1_0,
    /// API version 1.2.0 with synthetic challenges.
    Synthetic,
    /// API version 1.2.0 with non-interactive challenges.
    NonInteractive,
}

/// One piece of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many unpadded bytes, 127·2ᵏ, of data. Zeros come before it where its alignment asks for them.
    Data(u64),
    /// So many unpadded zero bytes that are listed but not staged; only after the last data.
    Rest(u64),
}

impl Piece {
    /// Unpadded length.
    pub fn size(self) -> u64 {
        match self {
            Self::Data(size) | Self::Rest(size) => size,
        }
    }
}

/// A sector to seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// For messages; everything random is derived from it.
    pub name: &'static str,
    /// Padded size.
    pub size_bytes: u64,
    /// Number in the porep id.
    pub number: u64,
    /// Rules of graph and challenges.
    pub rules: Rules,
    /// Pieces in order.
    pub pieces: Vec<Piece>,
}

impl Case {
    /// `LE64(number) ‖ 0²⁴`.
    pub fn porep_id(&self) -> [u8; 32] {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&self.number.to_le_bytes());
        id
    }

    /// 32 bytes that depend on the case's name and on what they are for; nothing limits them to the field.
    pub fn random(&self, purpose: &str) -> [u8; 32] {
        Sha256::digest(format!("{}/{purpose}", self.name)).into()
    }

    /// The prover id. Its last byte is small, as in every prover id of a network.
    pub fn prover_id(&self) -> [u8; 32] {
        let mut id = self.random("prover");
        id[10..].fill(0);
        id
    }

    /// The sector's number.
    pub fn sector(&self) -> u64 {
        let bytes = self.random("sector");
        u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Ticket of the replica id.
    pub fn ticket(&self) -> [u8; 32] {
        self.random("ticket")
    }

    /// Seed of the challenges; what stands in its place where there is none.
    pub fn seed(&self) -> [u8; 32] {
        match self.rules {
            Rules::NonInteractive => [1; 32],
            Rules::V1_0_0 | Rules::V1_1_0 | Rules::Synthetic => self.random("seed"),
        }
    }

    /// Raw bytes of a piece: an odd number of them from a sequence that no two pieces of a case share, then zeros.
    pub fn data(&self, index: usize) -> Vec<u8> {
        let start = self.random("data")[0] as usize + 17 * index;
        let size = self.pieces[index].size() as usize;
        let mut data: Vec<u8> = (0..(size - size / 5) | 1).map(|i| ((start + i) % 251) as u8).collect();
        data.resize(size, 0);
        data
    }

    /// Offset and length of each piece of data in the sector's raw content.
    pub fn ranges(&self) -> Vec<[u64; 2]> {
        let mut end = 0_u64;
        let mut ranges = Vec::new();
        for piece in &self.pieces {
            let start = end.next_multiple_of(piece.size());
            end = start + piece.size();
            if matches!(piece, Piece::Data(_)) {
                ranges.push([start, piece.size()]);
            }
        }
        ranges
    }

    /// The sector's whole raw content, zeros between the pieces included.
    pub fn content(&self) -> Vec<u8> {
        let mut content = Vec::new();
        for (index, piece) in self.pieces.iter().enumerate() {
            let size = piece.size() as usize;
            content.resize(content.len().next_multiple_of(size), 0);
            match piece {
                Piece::Data(_) => content.extend(self.data(index)),
                Piece::Rest(_) => content.resize(content.len() + size, 0),
            }
        }
        content
    }
}

/// A case of 2 KiB with the given pieces.
pub fn small(name: &'static str, number: u64, rules: Rules, pieces: &[Piece]) -> Case {
    Case { name, size_bytes: 2 << 10, number, rules, pieces: pieces.to_vec() }
}

/// A case of one piece that fills the sector.
pub fn full(name: &'static str, size_bytes: u64, number: u64, rules: Rules) -> Case {
    Case { name, size_bytes, number, rules, pieces: vec![Piece::Data(size_bytes / 128 * 127)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_aligned() {
        let pieces = vec![Piece::Data(127), Piece::Data(508), Piece::Rest(1016)];
        let case = Case { pieces, ..full("aligned", 2 << 10, 5, Rules::V1_1_0) };
        let content = case.content();
        assert_eq!(content.len(), 2032);
        assert_eq!(content[..127], case.data(0));
        assert!(content[127..508].iter().all(|&byte| byte == 0));
        assert_eq!(content[508..1016], case.data(1));
        assert!(content[1016..].iter().all(|&byte| byte == 0));
        assert_eq!(case.ranges(), [[0, 127], [508, 508]]);
        assert_eq!(case.data(0)[103..], [0; 24]);
        assert_ne!(case.data(0)[102], 0);
    }
}
