//! Where pieces come from: anything that has their bytes at places, so far a folder of files.

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use filecash_ipld::Cid;
use filecash_ipld::car::{CarOptions, CarReader};
use filecash_ipld::positioned::ReadAt;

/// Bytes at the front of a piece in which the header of a CAR is looked for.
const HEAD: usize = 4 << 10;

/// A piece that is open.
pub struct Piece {
    /// How many bytes there are.
    pub length: u64,
    /// The bytes.
    pub bytes: Box<dyn ReadAt + Send + Sync>,
}

impl Piece {
    /// The version of the CAR that the piece seems to be, by its header.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn car_version(&self) -> io::Result<Option<u8>> {
        let mut head = vec![0; HEAD];
        let count = self.bytes.read_up_to(&mut head, 0)?;
        let car = CarReader::new(Cursor::new(&head[..count]), &CarOptions::default());
        Ok(car.ok().map(|car| if car.head().is_some() { 2 } else { 1 }))
    }
}

/// Has pieces.
pub trait PieceSource: Send + Sync {
    /// The piece of a CID of version 1, if it is here. Its bytes are those of the piece, with the zeros behind its data or without.
    ///
    /// # Errors
    /// When it cannot be told, or the piece cannot be opened.
    fn open(&self, piece: &Cid) -> io::Result<Option<Piece>>;
}

/// No pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPieces;

impl PieceSource for NoPieces {
    fn open(&self, _piece: &Cid) -> io::Result<Option<Piece>> {
        Ok(None)
    }
}

/// A folder of files, each of which has the CID of its piece for a name, of version 1, and `.car` or `.piece` behind it: that is all of the
/// index. Names are believed: whoever fetches a piece computes its CID. A file that is written is given its name when it is whole.
#[derive(Clone, Debug)]
pub struct PieceFolder(PathBuf);

impl PieceFolder {
    /// What files are called behind their CIDs.
    pub const ENDINGS: [&'static str; 2] = ["car", "piece"];

    /// A folder that is there.
    ///
    /// # Errors
    /// Unless it is there, and a folder.
    pub fn new(folder: &Path) -> io::Result<Self> {
        match fs::metadata(folder)?.is_dir() {
            true => Ok(Self(folder.to_owned())),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }
}

impl PieceSource for PieceFolder {
    fn open(&self, piece: &Cid) -> io::Result<Option<Piece>> {
        for ending in Self::ENDINGS {
            let path = self.0.join(format!("{piece}.{ending}"));
            // Something else than a file is not opened: that could wait for ever.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            let file = File::open(path)?;
            return Ok(Some(Piece { length: file.metadata()?.len(), bytes: Box::new(file) }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_are_pieces_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let cid = |text: &str| text.parse::<Cid>().unwrap();
        let first = cid("baga6ea4seaqes3nobte6ezpp4wqan2age2s5yxcatzotcvobhgcmv5wi2xh5mbi");
        let second = cid("baga6ea4seaqao7s73y24kcutaosvacpdjgfe5pw76ooefnyqw4ynr3d2y6x2mpq");
        let third = cid("baga6ea4seaqomqafu276g53zko4k23xzh4h4uecjwicbmvhsuqi7o4bhthhm4aq");
        let name = |cid: &Cid, ending: &str| folder.path().join(format!("{cid}.{ending}"));
        fs::write(name(&first, "piece"), b"12345").unwrap();
        fs::write(name(&second, "car"), [&filecash_ipld::car::PRAGMA[..], &[0; 100]].concat()).unwrap();
        fs::create_dir(name(&third, "car")).unwrap();
        let pieces = PieceFolder::new(folder.path()).unwrap();
        let piece = pieces.open(&first).unwrap().unwrap();
        let mut bytes = [0; 2];
        piece.bytes.read_all(&mut bytes, 1).unwrap();
        assert_eq!((piece.length, &bytes, piece.car_version().unwrap()), (5, b"23", None));
        // A pragma with a head of zeros is a CAR that was not finished.
        assert_eq!(pieces.open(&second).unwrap().unwrap().car_version().unwrap(), None);
        assert!(pieces.open(&third).unwrap().is_none());
        let absent = cid("baga6ea4seaqn42av3szurbbscwuu3zjssvfwbpsvbjf6y3tukvlgl2nf5rha6pa");
        assert!(pieces.open(&absent).unwrap().is_none() && NoPieces.open(&first).unwrap().is_none());
        assert!(PieceFolder::new(&name(&first, "piece")).is_err() && PieceFolder::new(&name(&absent, "car")).is_err());
    }

    #[test]
    fn cars_are_known_by_their_headers() {
        let piece = |bytes: &[u8]| Piece { length: bytes.len() as u64, bytes: Box::new(ByteVec(bytes.to_vec())) };
        let cid: Cid = "bafkqaaa".parse().unwrap();
        let mut first = Vec::new();
        filecash_ipld::car::CarWriter::new(&mut first, &[cid]).unwrap();
        let mut second = Cursor::new(Vec::new());
        filecash_ipld::car::IndexedCarWriter::new(&mut second, &[cid]).unwrap().finish().unwrap();
        let padded = [&first[..], &[0; 9000]].concat();
        for (bytes, version) in [
            (&first[..], Some(1)),
            (second.get_ref(), Some(2)),
            (&padded, Some(1)),
            (&first[..10], None),
            (b"", None),
            (&[0xff; 5000], None),
        ] {
            assert_eq!(piece(bytes).car_version().unwrap(), version);
        }
    }

    struct ByteVec(Vec<u8>);

    impl ReadAt for ByteVec {
        fn read_up_to(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
            self.0[..].read_up_to(bytes, at)
        }
    }
}
