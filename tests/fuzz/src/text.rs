//! What people and other programs write: CIDs, pieces, settings, places of files.

use std::path::Path;
use std::str;

use filecash_engine::sector::cid::{Commitment, parse_data, parse_replica};
use filecash_engine::sector::piece::{PaddedLen, PieceInfo, comm_d, verify_pieces};
use filecash_node::config::{Flags, MIN_MEMORY_BYTES, PROGRAM_BYTES, Settings, Source};
use filecash_node::fetch::{self, content_range};

/// CIDs: what was read is written as a CID of the same commitment.
pub fn cid(data: &[u8]) -> usize {
    let Ok(text) = str::from_utf8(data) else { return 0 };
    let parsed = Commitment::parse(text);
    let (as_data, as_replica) = (parse_data(text), parse_replica(text));
    let Ok(commitment) = parsed else {
        assert!(as_data.is_err() && as_replica.is_err());
        return 0;
    };
    match commitment {
        Commitment::Data(node) => assert!(as_data == Ok(node) && as_replica.is_err()),
        Commitment::Replica(node) => assert!(as_replica == Ok(node) && as_data.is_err()),
    }
    assert_eq!(Commitment::parse(&commitment.cid().to_string()), Ok(commitment));
    1
}

/// Places that files are fetched from, which are told as they are written, and what servers say that they give.
pub fn fetch_places(data: &[u8]) -> usize {
    let Ok(text) = str::from_utf8(data) else { return 0 };
    let place = text.parse::<fetch::Source>();
    if let Ok(place) = &place {
        assert_eq!(place.to_string().parse(), Ok(place.clone()));
    }
    let range = content_range(text);
    if let Some((first, last, total)) = range {
        assert_eq!(content_range(&format!("bytes {first}-{last}/{total}")), range);
    }
    usize::from(place.is_ok()) + usize::from(range.is_some())
}

/// Lists of pieces: written as they were read, and a CommD that was found is accepted. One acceptance for the list, and one
/// for each size of sector that they fit in.
pub fn pieces_json(data: &[u8]) -> usize {
    let Ok(pieces) = serde_json::from_slice::<Vec<PieceInfo>>(data) else { return 0 };
    let json = serde_json::to_vec(&pieces).expect("memory takes all bytes");
    assert_eq!(serde_json::from_slice::<Vec<PieceInfo>>(&json).expect("read back"), pieces);
    let mut accepted = 1;
    for size in [128, 2048, 1 << 60] {
        let sector = PaddedLen::new(size).expect("a power of two");
        let Ok(commitment) = comm_d(sector, &pieces) else { continue };
        assert!(pieces.iter().all(|piece| piece.size.padded() <= sector));
        assert!(verify_pieces(&commitment, sector, &pieces).is_ok());
        accepted += 1;
    }
    accepted
}

/// A settings file: what it says is in force and names the file, and nothing in it brings down the rest.
pub fn settings(data: &[u8]) -> usize {
    let Ok(text) = str::from_utf8(data) else { return 0 };
    let path = Path::new("/etc/filecash/config.toml");
    let home = |name: &str| (name == "HOME").then(|| "/home/somebody".into());
    let Ok(settings) = Settings::resolve(&Flags::default(), &home, Some((path, text))) else { return 0 };
    assert!(settings.memory_bytes.value >= MIN_MEMORY_BYTES);
    let config = settings.engine_config();
    assert_eq!(config.memory_bytes + PROGRAM_BYTES, settings.memory_bytes.value);
    for folder in [&settings.parameter_cache, &settings.parent_cache, &settings.scratch] {
        assert!(folder.value.is_absolute());
        assert!(folder.source == Source::Default || folder.source == Source::File(path.to_owned()));
    }
    1
}
