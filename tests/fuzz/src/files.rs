//! Small files of a sector's folder, and the table of parents.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use filecash_engine::config::Config;
use filecash_engine::field::fr;
use filecash_engine::graph::{Graph, ParentTable};
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::sector::{ApiVersion, PoRepConfig, PoRepId, Profile, SealProof, SectorParams, params};
use filecash_engine::store::aux::{PAux, TAux};
use filecash_engine::store::manifest::{Identity, MANIFEST_NAME, Manifest};

use crate::edited;

/// `p_aux`: 64 bytes of two field elements, with one spelling.
pub fn p_aux(data: &[u8]) -> usize {
    let Ok(aux) = PAux::decode(data) else { return 0 };
    assert_eq!(aux.encode(), data);
    assert!(fr::from_node(&aux.comm_c).is_ok() && fr::from_node(&aux.comm_r_last).is_ok());
    1
}

/// `t_aux`: bincode with one spelling.
pub fn t_aux(data: &[u8]) -> usize {
    let Ok(aux) = TAux::decode(data) else { return 0 };
    assert_eq!(aux.encode().expect("memory takes all bytes"), data);
    1
}

/// The manifest of a folder: as JSON, and as the file of a folder, where what is not understood counts for nothing.
/// The second acceptance is as the file of a folder, with something in it.
pub fn manifest(data: &[u8]) -> usize {
    let read = serde_json::from_slice::<Manifest>(data);
    if let Ok(manifest) = &read {
        let json = serde_json::to_vec(manifest).expect("memory takes all bytes");
        assert_eq!(&serde_json::from_slice::<Manifest>(&json).expect("read back"), manifest);
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    fs::write(folder.path().join(MANIFEST_NAME), data).expect("a small file");
    let config = SealProof::by_id(Profile::Filecash, 7).expect("registered").config();
    let identity = Identity::new(&config, &[1; 32]);
    let loaded = Manifest::load(folder.path(), identity.clone()).expect("a readable file");
    let counts = loaded != Manifest::new(identity.clone());
    if counts {
        loaded.store(folder.path()).expect("a small file");
        assert_eq!(Manifest::load(folder.path(), identity).expect("a readable file"), loaded);
    }
    usize::from(read.is_ok()) + usize::from(counts)
}

/// A sector of 256 KiB: the smallest power of two whose table goes to the disk.
static TABLE_CONFIG: LazyLock<PoRepConfig> = LazyLock::new(|| {
    let mut params: SectorParams = params::for_size(Profile::Filecash, 2048).expect("a row of the table").clone();
    params.size_bytes = 256 << 10;
    PoRepConfig::interactive(
        Box::leak(Box::new(params)),
        Profile::Filecash,
        PoRepId::from_number(7),
        ApiVersion::V1_1_0,
    )
});

/// The right table's name and bytes, and those of its digest.
static TABLE: LazyLock<[(String, Vec<u8>); 2]> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    open_table(folder.path());
    let read = |ending: &str| {
        let entries = fs::read_dir(folder.path().join("filecash")).expect("the table's folder");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let path =
            paths.into_iter().find(|path| path.to_string_lossy().ends_with(ending)).expect("a file of the table");
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        (name, fs::read(path).expect("a readable file"))
    };
    [read(".cache"), read(".sha256")]
});

fn open_table(parent_cache: &Path) -> ParentTable {
    let config = Config { parent_cache: parent_cache.to_owned(), ..Config::default() };
    let (progress, cancel) = (Quiet, Cancel::default());
    let job = Job { config: &config, progress: &progress, cancel: &cancel };
    ParentTable::open(&job, &TABLE_CONFIG).expect("a writable folder")
}

/// The table of parents: whatever is found in place of the table, or of its digest, the rows are the right ones.
///
/// The first byte says which of the two is damaged, and whether by edits or as a whole. (Both at once is out of reach:
/// whoever writes a table and its digest is believed.) Accepted is what was right from the beginning.
pub fn parent_table(data: &[u8]) -> usize {
    let Some((&which, data)) = data.split_first() else { return 0 };
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let tables = folder.path().join("filecash");
    fs::create_dir(&tables).expect("a new folder");
    let mut undamaged = true;
    for (index, (name, right)) in TABLE.iter().enumerate() {
        let bytes = match which % 4 {
            way if usize::from(way / 2) != index => right.clone(),
            0 | 2 => edited(right, data),
            _ => data.to_vec(),
        };
        undamaged &= bytes == *right;
        fs::write(tables.join(name), bytes).expect("a small file");
    }
    let [(table, right), _] = &*TABLE;
    let opened = open_table(folder.path());
    let words = opened.rows().iter().flatten().map(|word| u32::from_le(*word).to_le_bytes());
    assert!(words.eq(right.as_chunks::<4>().0.iter().copied()));
    assert_eq!(opened.rows().len() as u64, Graph::new(&TABLE_CONFIG).nodes());
    assert_eq!(&fs::read(tables.join(table)).expect("a readable file"), right);
    let leftover = fs::read_dir(&tables).expect("a folder").flatten().find(|entry| entry.path().ends_with("tmp"));
    assert!(leftover.is_none());
    usize::from(undamaged)
}
