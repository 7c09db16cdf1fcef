use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::config::Config;
use crate::job::{Cancel, Quiet};
use crate::sector::{Profile, cid, params};

const VECTORS: &str = "../tests/vectors/commp";

fn with_job<T>(run: impl FnOnce(&Job<'_>) -> T) -> T {
    // The smallest batches: one chunk.
    let config = Config { memory_bytes: 0, ..Config::default() };
    run(&Job { config: &config, progress: &Quiet, cancel: &Cancel::default() })
}

fn data(len: u64, start: u64) -> Vec<u8> {
    (start..start + len).map(|i| (i % 251) as u8).collect()
}

fn unpadded(bytes: u64) -> UnpaddedLen {
    UnpaddedLen::new(bytes).unwrap()
}

fn piece(len: u64, start: u64) -> PieceInfo {
    with_job(|job| comm_p(&data(len, start)[..], unpadded(len), job).unwrap())
}

fn sector_2kib() -> PaddedLen {
    PaddedLen::new(2048).unwrap()
}

fn rows(file: &str) -> Vec<(u64, u64, String)> {
    let text = std::fs::read_to_string(format!("{VECTORS}/{file}")).unwrap();
    let row = |line: &str| {
        let [raw, size, cid] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (raw.parse().unwrap(), size.parse().unwrap(), cid.to_owned())
    };
    text.lines().map(row).collect()
}

/// The definition: padded bit by bit elsewhere, hashed row by row here.
fn oracle(raw: &[u8], padded: u64) -> Node {
    let mut bytes = Vec::new();
    crate::field::fr32::Fr32Reader::new(raw).read_to_end(&mut bytes).unwrap();
    bytes.resize(padded as usize, 0);
    let mut row: Vec<Node> = bytes.chunks(32).map(|node| node.try_into().unwrap()).collect();
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| sha_node(&pair[0], &pair[1])).collect();
    }
    row[0]
}

/// spec/replication.md 12.2, first table; 12.2 goes up to 64 GiB.
#[test]
fn zero_commitments_match_reference() {
    let expected = [
        (128, "3731bb99ac689f66eef5973e4a94da188f4ddcae580724fc6f3fd60dfd488333"),
        (256, "642a607ef886b004bf2c1978463ae1d4693ac0f410eb2d1b7a47fe205e5e750f"),
        (2048, "fc7e928296e516faade986b28f92d44a4f24b935485223376a799027bc18f833"),
        (8 << 20, "65f29e5d98d246c38b388cfc06db1f6b021303c5a289000bdce832a9c3ec421c"),
        (512 << 20, "39560e7b13a93b07a243fd2720ffa7cb3e1d2e505ab3629e79f46313512cda06"),
        (4 << 30, "66ce05a3667552cf45c02bcc4e8392919bdeac35de2ff56271848e9f7b675107"),
        (16 << 30, "6d364b1ef846441a5a4a68862314acc0a46f016717e53443e839eedf83c2853c"),
        (32 << 30, "077e5fde35c50a9303a55009e3498a4ebedff39c42b710b730d8ec7ac7afa63e"),
        (64 << 30, "e64005a6bfe3777953b8ad6ef93f0fca1049b2041654f2a411f7702799cece02"),
    ];
    for (size, commitment) in expected {
        let size = PaddedLen::new(size).unwrap();
        assert_eq!(hex::encode(zero_commitment(size)), commitment, "{size:?}");
        assert_eq!(hex::encode(comm_d(size, &[]).unwrap()), commitment, "{size:?}");
    }
}

/// spec/replication.md 12.2, second table.
#[test]
fn comm_p_matches_reference() {
    let expected = [
        (127, "b817099547b8c59060fede17e8fef01cd2e5871fcc83cb2cf492000001a97216"),
        (254, "f31e0cd7efce2226e300b71f1e86c6140eb4a88b065c489122bf59343abe7e29"),
        (508, "ddffbca2c0f33e54379ecdd4da544cd1834f17cf448e9b459c0d72972ad7d832"),
        (1016, "23b71f6dd110fc8fb2e5e5940a2c946032bd77e79ce137d8aa887e3a2937a226"),
        (2032, "6eadd63463ef3576a34dcb6ff742f8448eb22f09d59b9795a4f55d257be3da35"),
    ];
    for (size, commitment) in expected {
        assert_eq!(hex::encode(piece(size, 0).commitment), commitment, "{size}");
    }
}

/// spec/replication.md 12.2, last list.
#[test]
fn comm_d_matches_reference() {
    let of = |pieces: &[PieceInfo]| hex::encode(comm_d(sector_2kib(), pieces).unwrap());
    let first = piece(127, 0);
    assert_eq!(of(&[first]), "b817099547b8c59060fede17e8fef01cd2e5871fcc83cb2cf492000001a97216");
    let two = [first, piece(508, 1)];
    assert_eq!(of(&two), "c78956bf6b800f3ab79aa4742859aaaa8e4eb4ffa1e0e1c68ac5887883c93c21");
    let three = [two[1], first, piece(1016, 2)];
    assert_eq!(of(&three), "6ca5036e887dedea84d19b05c4b4cabb609b4e18c79fb366ad4847ac043ef329");
    assert!(verify_pieces(&comm_d(sector_2kib(), &three).unwrap(), sector_2kib(), &three).is_ok());
    let other = verify_pieces(&[1; 32], sector_2kib(), &three);
    assert!(matches!(other, Err(PieceError::CommD { expected, .. }) if expected == [1; 32]));
}

/// tests/vectors/commp, streams up to 16 MiB.
#[test]
fn streams_match_go_fil_commp_hashhash() {
    let mut compared = 0;
    for (file, byte) in [("0xCC.txt", 0xcc), ("zero.txt", 0)] {
        for (raw, size, expected) in rows(file) {
            assert_eq!(PaddedLen::holding(raw).unwrap().get(), size);
            if raw > 16 << 20 {
                continue;
            }
            let found = with_job(|job| comm_p_of_stream(io::repeat(byte).take(raw), raw, job).unwrap());
            assert_eq!((found.raw_bytes, found.piece.size.padded().get()), (raw, size));
            assert_eq!(cid::of_data(&found.piece.commitment).to_string(), expected, "{raw} bytes of {byte:#x}");
            compared += 1;
        }
    }
    assert_eq!(compared, 36);
}

#[test]
fn piece_sizes_match_go_fil_commp_hashhash() {
    for (raw, size, _) in rows("random.txt") {
        assert_eq!(PaddedLen::holding(raw).unwrap().get(), size, "{raw}");
    }
}

#[test]
fn empty_stream_is_the_smallest_zero_piece() {
    let found = with_job(|job| comm_p_of_stream(io::empty(), 0, job).unwrap());
    let size = PaddedLen::new(128).unwrap();
    assert_eq!(found.piece, PieceInfo { commitment: zero_commitment(size), size: size.unpadded() });
}

#[test]
fn streams_of_several_chunks_match_the_definition() {
    let chunk = (1 << 20) / 128 * 127;
    for len in [chunk, chunk + 1, 2 * chunk - 1, 2 * chunk, 3 * chunk + 1000] {
        let raw = data(len, 3);
        let found = with_job(|job| comm_p_of_stream(&raw[..], 0, job).unwrap());
        assert_eq!(found.piece.commitment, oracle(&raw, found.piece.size.padded().get()), "{len}");
    }
    let raw = data(4 * chunk, 3);
    let found = with_job(|job| comm_p(&raw[..], unpadded(4 * chunk), job).unwrap());
    assert_eq!(found.commitment, oracle(&raw, 4 << 20));
}

#[test]
fn comm_p_needs_the_whole_piece_and_ignores_more() {
    let short = with_job(|job| comm_p(&data(253, 0)[..], unpadded(254), job));
    assert!(matches!(short, Err(PieceError::SourceEnded { expected: 254, actual: 253 })));
    let long = with_job(|job| comm_p(&data(300, 0)[..], unpadded(254), job).unwrap());
    assert_eq!(long, piece(254, 0));
}

/// spec/replication.md 2.3.
#[test]
fn placing_matches_reference() {
    let table = [
        ((0, 0), (0, 127)),
        ((0, 127), (0, 0)),
        ((0, 254), (0, 0)),
        ((0, 508), (0, 0)),
        ((0, 1016), (0, 0)),
        ((127, 127), (0, 0)),
        ((127, 254), (127, 0)),
        ((127, 508), (381, 0)),
        ((100, 100), (27, 27)),
        ((200, 200), (54, 54)),
        ((300, 300), (208, 208)),
    ];
    for ((written, piece), (left, right)) in table {
        assert_eq!(place(written, piece), Ok(Placement { left, right }), "{written} {piece}");
    }
    assert!(place(0, u64::MAX).is_err());
}

#[test]
fn sizes_of_no_piece_are_refused() {
    for bytes in [0, 1, 64, 127, 129, 192, 1 << 61, 1 << 63, u64::MAX] {
        assert_eq!(PaddedLen::new(bytes), Err(PieceSizeError::Padded(bytes)));
    }
    for bytes in [0, 126, 128, 127 * 3, 127 << 54, u64::MAX] {
        assert_eq!(UnpaddedLen::new(bytes), Err(PieceSizeError::Unpadded(bytes)));
    }
    assert_eq!(PaddedLen::new(1 << 60).unwrap().unpadded(), unpadded(127 << 53));
    assert!(PaddedLen::holding(127 << 53).is_ok() && PaddedLen::holding((127 << 53) + 1).is_err());
}

#[test]
fn piece_info_has_the_forms_of_the_reference() {
    let info = PieceInfo { commitment: [1; 32], size: unpadded(127) };
    let json = serde_json::to_string(&info).unwrap();
    assert_eq!(json, format!("{{\"commitment\":[{}],\"size\":127}}", ["1"; 32].join(",")));
    assert_eq!(serde_json::from_str::<PieceInfo>(&json).unwrap(), info);
    assert!(serde_json::from_str::<PieceInfo>(&json.replace("127", "128")).is_err());
    let bytes = bincode::serialize(&info).unwrap();
    assert_eq!(bytes, [&[1; 32][..], &[127, 0, 0, 0, 0, 0, 0, 0]].concat());
    assert_eq!(bincode::deserialize::<PieceInfo>(&bytes).unwrap(), info);
}

#[test]
fn comm_d_refuses_what_does_not_fit() {
    let sector = sector_2kib();
    let small = piece(127, 0);
    assert!(matches!(comm_d(sector, &[small; 17]), Err(PieceError::TooMany { count: 17, max: 16, .. })));
    assert!(comm_d(sector, &[small; 16]).is_ok());
    // 128, zeros up to 1024, 1024, 512.
    let too_large = [small, piece(1016, 0), piece(508, 0)];
    assert!(matches!(comm_d(sector, &too_large), Err(PieceError::TooLarge { total: 2560, sector: 2048 })));
    let zero = PieceInfo { commitment: [0; 32], size: unpadded(127) };
    assert!(matches!(comm_d(sector, &[small, zero]), Err(PieceError::ZeroCommitment { index: 1 })));
}

fn staged(existing: &[UnpaddedLen]) -> (tempfile::NamedTempFile, Result<StagedSector, PieceError>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let params = params::for_size(Profile::Filecoin, 2048).unwrap();
    let sector = StagedSector::new(file.reopen().unwrap(), file.path(), params, existing);
    (file, sector)
}

#[test]
fn added_pieces_make_the_sector_of_their_comm_d() {
    let (file, sector) = staged(&[]);
    let mut sector = sector.unwrap();
    let mut added = Vec::new();
    for (size, start) in [(127, 0), (508, 1), (1016, 2)] {
        added.push(with_job(|job| sector.add_piece(&data(size, start)[..], unpadded(size), job).unwrap()));
    }
    assert_eq!(added.iter().map(|a| (a.offset, a.written)).collect::<Vec<_>>(), [(0, 127), (508, 889), (1016, 1016)]);
    let bytes = std::fs::read(file.path()).unwrap();
    assert_eq!(bytes.len(), 2048);
    let raw = [data(127, 0), vec![0; 381], data(508, 1), data(1016, 2)].concat();
    let pieces: Vec<_> = added.iter().map(|added| added.piece).collect();
    assert_eq!(pieces, [piece(127, 0), piece(508, 1), piece(1016, 2)]);
    assert_eq!(comm_d(sector_2kib(), &pieces).unwrap(), oracle(&raw, 2048));
    let mut expected = Vec::new();
    crate::field::fr32::Fr32Reader::new(&raw[..]).read_to_end(&mut expected).unwrap();
    assert_eq!(bytes, expected);
    let full = with_job(|job| sector.add_piece(&data(127, 0)[..], unpadded(127), job));
    assert!(matches!(full, Err(PieceError::TooLarge { total: 2176, sector: 2048 })));
}

#[test]
fn zeros_are_the_piece_that_is_read_from_zeros() {
    let [(file, sector), (other, read)] = [staged(&[]), staged(&[])];
    let (mut sector, mut read) = (sector.unwrap(), read.unwrap());
    for (size, is_zero) in [(127, false), (254, true), (127, true), (508, false), (508, true)] {
        let size = unpadded(size);
        let bytes = if is_zero { vec![0; size.get() as usize] } else { data(size.get(), 3) };
        let expected = with_job(|job| read.add_piece(&bytes[..], size, job).unwrap());
        let added = match is_zero {
            true => sector.add_zeros(size).unwrap(),
            false => with_job(|job| sector.add_piece(&bytes[..], size, job).unwrap()),
        };
        assert_eq!(added, expected);
        assert_eq!(std::fs::read(file.path()).unwrap(), std::fs::read(other.path()).unwrap());
    }
    assert!(matches!(sector.add_zeros(unpadded(127)), Err(PieceError::TooLarge { total: 2176, sector: 2048 })));
}

#[test]
fn failed_addition_leaves_the_file_as_it_was() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    let (file, sector) = staged(&[]);
    let mut sector = sector.unwrap();
    with_job(|job| sector.add_piece(&data(127, 0)[..], unpadded(127), job).unwrap());
    let before = std::fs::read(file.path()).unwrap();
    let bytes = data(600, 5);
    let failures: [(Box<dyn Read + Send>, bool); 4] = [
        (Box::new(&bytes[..507]), false),
        (Box::new(&bytes[..509]), false),
        (Box::new(bytes.chain(Broken)), false),
        (Box::new(&bytes[..508]), true),
    ];
    for (i, (source, cancelled)) in failures.into_iter().enumerate() {
        let config = Config::default();
        let cancel = Cancel::default();
        if cancelled {
            cancel.cancel();
        }
        let job = Job { config: &config, progress: &Quiet, cancel: &cancel };
        let error = sector.add_piece(source, unpadded(508), &job).unwrap_err();
        match i {
            0 => assert!(matches!(error, PieceError::SourceEnded { expected: 508, actual: 507 })),
            1 | 2 => assert!(matches!(error, PieceError::SourceTooLong { expected: 508 }), "{error:?}"),
            _ => assert!(matches!(error, PieceError::Cancelled(_))),
        }
        assert_eq!(std::fs::read(file.path()).unwrap(), before);
    }
    let broken = with_job(|job| sector.add_piece(data(500, 5).chain(Broken), unpadded(508), job));
    assert!(matches!(broken, Err(PieceError::Source(_))));
    let added = with_job(|job| sector.add_piece(&data(508, 1)[..], unpadded(508), job).unwrap());
    assert_eq!((added.offset, added.piece), (508, piece(508, 1)));
}

#[test]
fn staged_file_of_another_length_is_refused() {
    let (_file, sector) = staged(&[unpadded(127)]);
    assert!(matches!(sector, Err(PieceError::StagedLength { expected: 128, actual: 0, .. })));
}

proptest! {
    #[test]
    fn comm_p_matches_the_definition(len in 0_u64..5000, start in 0_u64..251) {
        let raw = data(len, start);
        let found = with_job(|job| comm_p_of_stream(&raw[..], 0, job).unwrap());
        prop_assert_eq!(found.piece.commitment, oracle(&raw, found.piece.size.padded().get()));
    }

    #[test]
    fn comm_d_is_the_root_over_the_placed_pieces(sizes in prop::collection::vec(0_u32..4, 1..8)) {
        let mut raw = Vec::new();
        let mut pieces = Vec::new();
        for (i, k) in sizes.iter().enumerate() {
            let size = 127 << k;
            let left = place(raw.len() as u64, size).unwrap().left;
            raw.resize(raw.len() + left as usize, 0);
            raw.extend(data(size, i as u64));
            pieces.push(piece(size, i as u64));
        }
        let size = PaddedLen::holding(raw.len() as u64).unwrap();
        prop_assert_eq!(comm_d(size, &pieces).unwrap(), oracle(&raw, size.get()));
    }
}
