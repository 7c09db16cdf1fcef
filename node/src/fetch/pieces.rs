//! Which pieces of a file are there, and who is asked for which next. No I/O, no clock.

use std::time::{Duration, Instant};

use super::part::{Record, RecordedPiece};

/// The first 16 bytes of BLAKE2b-512 of a piece.
pub(super) type PieceDigest = [u8; 16];

/// The digest of a piece.
pub(super) fn digest(bytes: &[u8]) -> PieceDigest {
    let mut digest = PieceDigest::default();
    digest.copy_from_slice(&blake2b_simd::blake2b(bytes).as_bytes()[..16]);
    digest
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) index: usize,
    pub(super) offset: u64,
    pub(super) len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    /// The place that was asked last, and when.
    Asked {
        place: usize,
        since: Instant,
    },
    /// Being written.
    Arriving,
    /// From a place, unless it is none of this time's.
    There {
        place: Option<usize>,
        digest: PieceDigest,
    },
}

/// All pieces of a file.
#[derive(Debug)]
pub(super) struct Pieces {
    bytes: u64,
    piece_bytes: u64,
    late: Duration,
    states: Vec<State>,
    /// The only place that is asked.
    only: Option<usize>,
}

impl Pieces {
    /// Of a file of so many bytes; a piece that has been asked for so long may be asked of another place too.
    pub(super) fn new(bytes: u64, piece_bytes: u64, late: Duration) -> Self {
        let count = bytes.div_ceil(piece_bytes) as usize;
        Self { bytes, piece_bytes, late, states: vec![State::Missing; count], only: None }
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A piece; `None` after the last.
    pub(super) fn piece(&self, index: usize) -> Option<Piece> {
        let offset = (index as u64).checked_mul(self.piece_bytes).filter(|offset| *offset < self.bytes)?;
        Some(Piece { index, offset, len: self.piece_bytes.min(self.bytes - offset) as usize })
    }

    /// Takes over what a record says, if it is of the same file in the same pieces.
    pub(super) fn claim(&mut self, record: Option<Record>, places: &[String]) {
        let Some(record) = record else { return };
        let is_same = (record.bytes, record.piece_bytes) == (self.bytes, self.piece_bytes);
        if !is_same || record.pieces.len() != self.states.len() {
            return;
        }
        let now = record.places.iter().map(|name| places.iter().position(|place| place == name)).collect::<Vec<_>>();
        for (state, piece) in self.states.iter_mut().zip(record.pieces) {
            let Some(RecordedPiece { place, digest }) = piece else { continue };
            let mut bytes = PieceDigest::default();
            if hex::decode_to_slice(digest, &mut bytes).is_ok() {
                *state = State::There { place: now.get(place).copied().flatten(), digest: bytes };
            }
        }
    }

    /// What is there, for a record. A piece whose place is not known is one of a place after the last.
    pub(super) fn record(&self, places: &[String]) -> Record {
        let piece = |state: &State| match state {
            State::There { place, digest } => {
                Some(RecordedPiece { place: place.unwrap_or(places.len()), digest: hex::encode(digest) })
            }
            _ => None,
        };
        let pieces = self.states.iter().map(piece).collect();
        Record { bytes: self.bytes, piece_bytes: self.piece_bytes, places: places.to_vec(), pieces }
    }

    /// Whether a place may be asked at all.
    pub(super) fn may_give(&self, place: usize) -> bool {
        self.only.is_none_or(|only| only == place)
    }

    /// The first piece that nobody is asked for, or that another place is late with.
    pub(super) fn take(&mut self, place: usize, now: Instant) -> Option<Piece> {
        if !self.may_give(place) {
            return None;
        }
        let late = self.late;
        let is_free = |state: &State| match *state {
            State::Missing => true,
            State::Asked { place: other, since } => other != place && now.duration_since(since) >= late,
            State::Arriving | State::There { .. } => false,
        };
        let index = self.states.iter().position(is_free)?;
        self.states[index] = State::Asked { place, since: now };
        self.piece(index)
    }

    /// A place failed to give a piece.
    pub(super) fn give_back(&mut self, index: usize, by: usize) {
        if matches!(self.states[index], State::Asked { place, .. } if place == by) {
            self.states[index] = State::Missing;
        }
    }

    /// A piece has come and is going to be written; false when another place gave it before.
    pub(super) fn arrive(&mut self, index: usize) -> bool {
        let is_new = matches!(self.states[index], State::Missing | State::Asked { .. });
        if is_new {
            self.states[index] = State::Arriving;
        }
        is_new
    }

    /// A piece was written.
    pub(super) fn put(&mut self, index: usize, place: usize, digest: PieceDigest) {
        self.states[index] = State::There { place: Some(place), digest };
    }

    /// A piece is not what it was.
    pub(super) fn lose(&mut self, index: usize) {
        self.states[index] = State::Missing;
    }

    /// The digest of a piece that is there.
    pub(super) fn there(&self, index: usize) -> Option<PieceDigest> {
        match self.states[index] {
            State::There { digest, .. } => Some(digest),
            _ => None,
        }
    }

    /// From now on one place is asked, for all that it did not give; whether there is any.
    pub(super) fn only_from(&mut self, place: usize) -> bool {
        self.only = Some(place);
        let is_its = |state: &State| matches!(state, State::There { place: by, .. } if *by == Some(place));
        let mut others = self.states.iter_mut().filter(|state| !is_its(state)).peekable();
        let is_any = others.peek().is_some();
        others.for_each(|state| *state = State::Missing);
        is_any
    }

    /// Bytes of pieces that are there.
    pub(super) fn bytes_there(&self) -> u64 {
        let is_there = |index: &usize| self.there(*index).is_some();
        let pieces = (0..self.states.len()).filter(is_there).filter_map(|index| self.piece(index));
        pieces.map(|piece| piece.len as u64).sum()
    }

    /// Of the pieces that this time's places gave, the place and the bytes.
    pub(super) fn given(&self) -> impl Iterator<Item = (usize, u64)> {
        self.states.iter().enumerate().filter_map(|(index, state)| match state {
            State::There { place: Some(place), .. } => Some((*place, self.piece(index)?.len as u64)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_secs(10);

    #[test]
    fn pieces_cover_a_file() {
        for bytes in [0, 1, 9, 10, 11, 25, 30] {
            let pieces = Pieces::new(bytes, 10, LATE);
            let all: Vec<_> = (0..).map_while(|index| pieces.piece(index)).collect();
            assert_eq!(all.len(), pieces.states.len());
            assert_eq!(all.iter().map(|piece| piece.len as u64).sum::<u64>(), bytes);
            assert!(all.iter().all(|piece| piece.offset == 10 * piece.index as u64 && piece.len > 0));
        }
    }

    #[test]
    fn late_pieces_are_asked_of_another_place_and_kept_once() {
        let mut pieces = Pieces::new(20, 10, LATE);
        let begin = Instant::now();
        assert_eq!(pieces.take(0, begin).unwrap().index, 0);
        assert_eq!(pieces.take(1, begin).unwrap().index, 1);
        assert_eq!(pieces.take(1, begin + LATE / 2), None);
        // Its own pieces a place is not asked for twice.
        assert_eq!(pieces.take(0, begin + LATE).unwrap().index, 1);
        assert_eq!(pieces.take(1, begin + LATE).unwrap().index, 0);
        // Who was slow does not take it away from who is asked now.
        pieces.give_back(0, 0);
        assert_eq!(pieces.take(0, begin + LATE), None);
        assert!(pieces.arrive(0) && !pieces.arrive(0));
        pieces.put(0, 1, [1; 16]);
        assert!(!pieces.arrive(0));
        pieces.give_back(1, 0);
        assert_eq!(pieces.take(1, begin + LATE).unwrap().index, 1);
        assert_eq!((pieces.there(0), pieces.bytes_there()), (Some([1; 16]), 10));
        pieces.lose(0);
        assert_eq!(pieces.take(0, begin).unwrap().index, 0);
    }

    #[test]
    fn one_place_gives_what_others_gave() {
        let mut pieces = Pieces::new(30, 10, LATE);
        for (index, place) in [(0, 0), (1, 1), (2, 0)] {
            pieces.put(index, place, [index as u8; 16]);
        }
        assert!(pieces.only_from(0));
        assert_eq!(pieces.take(1, Instant::now()), None);
        assert_eq!(pieces.take(0, Instant::now()).unwrap().index, 1);
        pieces.put(1, 0, [9; 16]);
        assert!(!pieces.only_from(0));
        assert_eq!(pieces.given().collect::<Vec<_>>(), [(0, 10), (0, 10), (0, 10)]);
    }

    #[test]
    fn records_are_taken_over_with_their_places() {
        let mut pieces = Pieces::new(25, 10, LATE);
        pieces.put(0, 0, [7; 16]);
        pieces.put(2, 1, [8; 16]);
        let [a, b, c] = ["a", "b", "c"].map(str::to_owned);
        let record = pieces.record(&[a.clone(), b.clone()]);
        let mut again = Pieces::new(25, 10, LATE);
        again.claim(Some(record.clone()), &[b, c]);
        assert_eq!((again.there(0), again.there(1), again.there(2)), (Some([7; 16]), None, Some([8; 16])));
        // The first piece is from a place that is gone.
        assert_eq!(again.given().collect::<Vec<_>>(), [(0, 5)]);
        assert_eq!(again.record(&[a]).pieces[0].as_ref().unwrap().place, 1);
        for (bytes, piece_bytes) in [(26, 10), (25, 9)] {
            let mut other = Pieces::new(bytes, piece_bytes, LATE);
            other.claim(Some(record.clone()), &[]);
            assert_eq!(other.bytes_there(), 0);
        }
    }
}
