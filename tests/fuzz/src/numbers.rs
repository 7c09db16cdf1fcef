//! Field elements, the padding of data, sizes of pieces.

use std::io::{Read, Write};

use ff::PrimeField;
use filecash_engine::field::fr32::{Fr32Reader, PADDED_QUAD, RAW_QUAD, RawRange, Unpadder, padded_len, unpadded_len};
use filecash_engine::field::{Fr, Node, fr};
use filecash_engine::porep::encode::{decode_node, encode_node};
use filecash_engine::sector::piece::{PaddedLen, UnpaddedLen, place};

/// The largest element, little-endian.
fn largest() -> Node {
    fr::to_node(&-Fr::from(1))
}

/// Nodes as field elements: exactly those up to −1 are read, and come back; encoding under a key can be undone. As many
/// acceptances as field elements.
pub fn field_element(data: &[u8]) -> usize {
    let mut accepted = 0;
    let mut last: Option<Node> = None;
    for node in data.as_chunks::<32>().0 {
        let element = fr::from_node(node);
        assert_eq!(element.is_ok(), node.iter().rev().le(largest().iter().rev()));
        assert_eq!(element.is_ok(), bool::from(Fr::from_repr(*node).is_some()));
        let Ok(element) = element else { continue };
        assert_eq!(fr::to_node(&element), *node);
        if let Some(key) = last {
            let replica = encode_node(node, &key).expect("two field elements");
            assert_eq!(decode_node(&replica, &key).expect("two field elements"), *node);
        }
        last = Some(*node);
        accepted += 1;
    }
    accepted
}

/// Sizes of chunks, over and over.
#[derive(Clone)]
struct Steps<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Steps<'_> {
    fn next(&mut self) -> usize {
        self.0.next().map_or(1, |step| usize::from(*step) + 1)
    }
}

/// Hands out no more than a step at a time.
struct Dribble<'a>(&'a [u8], Steps<'a>);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let step = self.1.next().min(out.len());
        self.0.read(&mut out[..step])
    }
}

/// The first byte says how many more are sizes of chunks.
fn chunked(data: &[u8]) -> Option<(Steps<'_>, &[u8])> {
    let (&count, rest) = data.split_first()?;
    let (steps, rest) = rest.split_at_checked(usize::from(count % 8))?;
    Some((Steps(steps.iter().cycle()), rest))
}

fn unpad(padded: &[u8], mut steps: Steps<'_>, mut unpadder: Unpadder<Vec<u8>>) -> Vec<u8> {
    let mut rest = padded;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(steps.next().min(rest.len()));
        unpadder.write_all(chunk).expect("memory takes all bytes");
        rest = later;
    }
    unpadder.finish().expect("memory takes all bytes")
}

/// Raw bytes through the padder and back, in chunks of any size: elements are canonical, and nothing is lost. All bytes
/// are accepted that have a length.
pub fn fr32_pad(data: &[u8]) -> usize {
    let Some((mut steps, raw)) = chunked(data) else { return 0 };
    let mut reader = Fr32Reader::new(Dribble(raw, steps.clone()));
    let mut padded = Vec::new();
    loop {
        let mut out = [0; 256];
        match reader.read(&mut out[..steps.next()]).expect("memory is readable") {
            0 => break,
            read => padded.extend_from_slice(&out[..read]),
        }
    }
    assert_eq!(reader.raw_bytes(), raw.len() as u64);
    let data_bytes = padded_len(raw.len() as u64) as usize;
    assert_eq!(padded.len(), data_bytes.next_multiple_of(32));
    assert!(padded[data_bytes..].iter().all(|byte| *byte == 0));
    assert!(padded.as_chunks::<32>().0.iter().all(|node| fr::from_node(node).is_ok()));
    assert_eq!(unpad(&padded[..data_bytes], steps, Unpadder::new(Vec::new())), raw);
    1
}

/// Any bytes through the unpadder: the chunks make no difference, a range is a part of the whole, and padding what came
/// out gives what went in, less the top bits. The second acceptance is that of a range.
pub fn fr32_unpad(data: &[u8]) -> usize {
    let Some((steps, padded)) = chunked(data) else { return 0 };
    let raw = unpad(padded, steps.clone(), Unpadder::new(Vec::new()));
    assert_eq!(raw.len() as u64, unpadded_len(padded.len() as u64));
    assert_eq!(raw, unpad(padded, Steps([255].iter().cycle()), Unpadder::new(Vec::new())));

    let whole = padded.len() / PADDED_QUAD * PADDED_QUAD;
    let mut again = Vec::new();
    Fr32Reader::new(&raw[..whole / PADDED_QUAD * RAW_QUAD]).read_to_end(&mut again).expect("memory is readable");
    let top = |(at, byte): (usize, &u8)| if at % 32 == 31 { byte & 0x3f } else { *byte };
    assert!(padded[..whole].iter().enumerate().map(top).eq(again));

    let [Some(offset), Some(len)] = [0, 1].map(|at| padded.get(at).map(|byte| u64::from(*byte))) else { return 1 };
    let range = RawRange { offset, len };
    let Some(quads) = range.padded().filter(|quads| quads.end <= whole as u64) else { return 1 };
    let Some(expected) = raw.get(offset as usize..(offset + len) as usize) else { return 1 };
    let part = unpad(&padded[quads.start as usize..quads.end as usize], steps, Unpadder::range(Vec::new(), range));
    assert_eq!(part, expected);
    2
}

/// Sizes of pieces from pairs of numbers: exactly the powers of two and their 127/128ths, and places that fit. As many
/// acceptances as sizes, of either kind, and places.
pub fn piece_sizes(data: &[u8]) -> usize {
    let mut accepted = 0;
    let numbers = data.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let mut written = 0;
    for number in numbers {
        if let Ok(len) = PaddedLen::new(number) {
            assert_eq!(len.get(), number);
            assert_eq!(len.unpadded().padded(), len);
            assert_eq!(UnpaddedLen::new(len.unpadded().get()), Ok(len.unpadded()));
            accepted += 1;
        }
        if let Ok(len) = UnpaddedLen::new(number) {
            assert_eq!(len.get(), number);
            assert_eq!(PaddedLen::new(len.padded().get()), Ok(len.padded()));
            assert_eq!(padded_len(number), len.padded().get());
            assert_eq!(unpadded_len(len.padded().get()), number);
            accepted += 1;
        }
        if let Ok(len) = PaddedLen::holding(number) {
            assert!(len.unpadded().get() >= number);
            assert!(len.get() == 128 || len.unpadded().get() / 2 < number);
        }
        if let Ok(placement) = place(written, number) {
            let size = number + placement.right;
            assert!(UnpaddedLen::new(size).is_ok());
            assert!((written + placement.left).is_multiple_of(size));
            assert!(placement.left < size);
            accepted += 1;
        }
        written = number >> 8;
    }
    accepted
}
