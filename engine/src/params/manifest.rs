//! What the networks publish: digests of parameter files, and the CIDs under which they are offered.
//!
//! A digest is the first 16 bytes of the unkeyed 64-byte BLAKE2b of the whole file. It decides; where a file comes from
//! does not matter.
//!
//! Source: `spec/snark.md` 4.6 (`parameters.json` of the reference, and of Filecash's Lotus).

use std::io::{self, Read};

use super::id::{CircuitKind, FileKind, ParamId};
use crate::sector::params::Profile;

/// A digest of a parameter file.
pub type FileDigest = [u8; 16];

/// Published files of one circuit.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    profile: Profile,
    size_bytes: u64,
    circuit: CircuitKind,
    params: [&'static str; 2],
    verifying_key: [&'static str; 2],
}

impl Published {
    fn entry(&self, file: FileKind) -> Option<[&'static str; 2]> {
        match file {
            FileKind::Params => Some(self.params),
            FileKind::VerifyingKey => Some(self.verifying_key),
            FileKind::Meta => None,
        }
    }

    /// The digest of a file, as hex digits; `.meta` files have none.
    pub fn digest(&self, file: FileKind) -> Option<&'static str> {
        self.entry(file).map(|[digest, _]| digest)
    }

    /// The CID of a file, as text; `.meta` files have none.
    pub fn cid(&self, file: FileKind) -> Option<&'static str> {
        self.entry(file).map(|[_, cid]| cid)
    }
}

/// What a network publishes for a circuit, if anything.
pub fn published(id: &ParamId) -> Option<&'static Published> {
    TABLE.iter().find(|row| {
        row.profile == id.profile() && row.size_bytes == id.params().size_bytes && row.circuit == id.circuit()
    })
}

/// The digest of everything that a reader gives, which is told about in pieces.
///
/// # Errors
/// Those of the reader, and of `tell`.
pub fn digest<E: From<io::Error>>(
    mut reader: impl Read,
    mut tell: impl FnMut(usize) -> Result<(), E>,
) -> Result<FileDigest, E> {
    let mut state = blake2b_simd::State::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            break;
        }
        state.update(&buffer[..read]);
        tell(read)?;
    }
    let mut digest = FileDigest::default();
    digest.copy_from_slice(&state.finalize().as_bytes()[..16]);
    Ok(digest)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

use CircuitKind::{PoRep, Update, Window, Winning};
use Profile::{Filecash, Filecoin};

const fn row(
    profile: Profile,
    size_bytes: u64,
    circuit: CircuitKind,
    params: [&'static str; 2],
    verifying_key: [&'static str; 2],
) -> Published {
    Published { profile, size_bytes, circuit, params, verifying_key }
}

/// Digest and CID of the `.params`, then of the `.vk`.
#[rustfmt::skip]
static TABLE: &[Published] = &[
    row(Filecoin, 2 * KIB, PoRep,
        ["434fb1338ecfaf0f59256f30dde4968f", "QmWceMgnWYLopMuM4AoGMvGEau7tNe5UK83XFjH5V9B17h"],
        ["dc1ade9929ade1708238f155343044ac", "QmamahpFCstMUqHi2qGtVoDnRrsXhid86qsfvoyCTKJqHr"]),
    row(Filecoin, 2 * KIB, Winning,
        ["82c88066be968bb550a05e30ff6c2413", "QmcSTqDcFVLGGVYz1njhUZ7B6fkKtBumsLUwx4nkh22TzS"],
        ["ffd79788d614d27919ae5bd2d94eacb6", "QmSTCXF2ipGA3f6muVo6kHc2URSx6PzZxGUqu7uykaH5KU"]),
    row(Filecoin, 2 * KIB, Window,
        ["7610b9f82bfc88405b7a832b651ce2f6", "QmVxjFRyhmyQaZEtCh7nk2abc7LhFkzhnRX4rcHqCCpikR"],
        ["0e0958009936b9d5e515ec97b8cb792d", "QmcS5JZs8X3TdtkEBpHAdUYjdNDqcL7fWQFtQz69mpnu2X"]),
    row(Filecoin, 2 * KIB, Update,
        ["311f92a3e75036ced01b1c0025f1fa0c", "QmYM6Hg7mjmvA3ZHTsqkss1fkdyDju5dDmLiBZGJ5pz9y9"],
        ["eadad9784969890d30f2749708c79771", "QmaQsTLL3nc5dw6wAvaioJSBfd1jhQrA2o6ucFf7XeV74P"]),
    row(Filecoin, 8 * MIB, PoRep,
        ["09e612e4eeb7a0eb95679a88404f960c", "QmPXAPPuQtuQz7Zz3MHMAMEtsYwqM1o9H1csPLeiMUQwZH"],
        ["b687beb9adbd9dabe265a7e3620813e4", "QmYCuipFyvVW1GojdMrjK1JnMobXtT4zRCZs1CGxjizs99"]),
    row(Filecoin, 8 * MIB, Winning,
        ["700171ecf7334e3199437c930676af82", "QmU9SBzJNrcjRFDiFc4GcApqdApN6z9X7MpUr66mJ2kAJP"],
        ["79ebb55f56fda427743e35053edad8fc", "QmbmUMa3TbbW3X5kFhExs6WgC4KeWT18YivaVmXDkB6ANG"]),
    row(Filecoin, 8 * MIB, Window,
        ["c49499bb76a0762884896f9683403f55", "QmdNEL2RtqL52GQNuj8uz6mVj5Z34NVnbaJ1yMyh1oXtBx"],
        ["34d4feeacd9abf788d69ef1bb4d8fd00", "QmUiVYCQUgr6Y13pZFr8acWpSM4xvTXUdcvGmxyuHbKhsc"]),
    row(Filecoin, 8 * MIB, Update,
        ["5aedd2cf3e5c0a15623d56a1b43110ad", "QmQiT4qBGodrVNEgVTDXxBNDdPbaD8Ag7Sx3ZTq1zHX79S"],
        ["abd80269054d391a734febdac0d2e687", "QmdcpKUQvHM8RFRVKbk1yHfEqMcBzhtFWKRp9SNEmWq37i"]),
    row(Filecoin, 512 * MIB, PoRep,
        ["6c77597eb91ab936c1cef4cf19eba1b3", "QmYBpTt7LWNAWr1JXThV5VxX7wsQFLd1PHrGYVbrU1EZjC"],
        ["065179da19fbe515507267677f02823e", "QmWionkqH2B6TXivzBSQeSyBxojaiAFbzhjtwYRrfwd8nH"]),
    row(Filecoin, 512 * MIB, Winning,
        ["827359440349fe8f5a016e7598993b79", "QmVgCsJFRXKLuuUhT3aMYwKVGNA9rDeR6DCrs7cAe8riBT"],
        ["bd2cd62f65c1ab84f19ca27e97b7c731", "QmfA31fbCWojSmhSGvvfxmxaYCpMoXP95zEQ9sLvBGHNaN"]),
    row(Filecoin, 512 * MIB, Window,
        ["1a7d4a9c8a502a497ed92a54366af33f", "QmUiRx71uxfmUE8V3H9sWAsAXoM88KR4eo1ByvvcFNeTLR"],
        ["4dae975de4f011f101f5a2f86d1daaba", "QmfCeddjFpWtavzfEzZpJfzSajGNwfL4RjFXWAvA9TSnTV"]),
    row(Filecoin, 512 * MIB, Update,
        ["c3ad7bb549470b82ad52ed070aebb4f4", "Qma5WL6abSqYg9uUQAZ3EHS286bsNsha7oAGsJBD48Bq2q"],
        ["994c5b7d450ca9da348c910689f2dc7f", "QmUa7f9JtJMsqJJ3s3ZXk6WyF4xJLE8FiqYskZGgk8GCDv"]),
    row(Filecoin, 32 * GIB, PoRep,
        ["6a388072a518cf46ebd661f5cc46900a", "QmengpM684XLQfG8754ToonszgEg2bQeAGUan5uXTHUQzJ"],
        ["0c7b4aac1c40fdb7eb82bc355b41addf", "Qmf93EMrADXAK6CyiSfE8xx45fkMfR3uzKEPCvZC1n2kzb"]),
    row(Filecoin, 32 * GIB, Winning,
        ["d84f79a16fe40e9e25a36e2107bb1ba0", "Qmdtczp7p4wrbDofmHdGhiixn9irAcN77mV9AEHZBaTt1i"],
        ["fc02943678dd119e69e7fab8420e8819", "QmZCvxKcKP97vDAk8Nxs9R1fWtqpjQrAhhfXPoCi1nkDoF"]),
    row(Filecoin, 32 * GIB, Window,
        ["2cf49eb26f1fee94c85781a390ddb4c8", "QmaUmfcJt6pozn8ndq1JVBzLRjRJdHMTPd4foa8iw5sjBZ"],
        ["0f8ec542485568fa3468c066e9fed82b", "QmR9i9KL3vhhAqTBGj1bPPC7LvkptxrH9RvxJxLN1vvsBE"]),
    row(Filecoin, 32 * GIB, Update,
        ["1b3cfd761a961543f9eb273e435a06a2", "QmNPc75iEfcahCwNKdqnWLtxnjspUGGR4iscjiz3wP3RtS"],
        ["3a6941983754737fde880d29c7094905", "QmdFFUe1gcz9MMHc6YW8aoV48w4ckvcERjt7PkydQAMfCN"]),
    row(Filecoin, 64 * GIB, PoRep,
        ["1801f8a6e1b00bceb00cc27314bb5ce3", "QmS7ye6Ri2MfFzCkcUJ7FQ6zxDKuJ6J6B8k5PN7wzSR9sX"],
        ["a89884252c04c298d0b3c81bfd884164", "QmehSmC6BhrgRZakPDta2ewoH9nosNzdjCqQRXsNFNUkLN"]),
    row(Filecoin, 64 * GIB, Winning,
        ["2170a91ad5bae22ea61f2ea766630322", "QmVkrXc1SLcpgcudK5J25HH93QvR9tNsVhVTYHm5UymXAz"],
        ["6d3789148fb6466d07ee1e24d6292fd6", "QmbfQjPD7EpzjhWGmvWAsyN2mAZ4PcYhsf3ujuhU9CSuBm"]),
    row(Filecoin, 64 * GIB, Window,
        ["3810b7780ac0e299b22ae70f1f94c9bc", "QmeAN4vuANhXsF8xP2Lx5j2L6yMSdogLzpcvqCJThRGK1V"],
        ["59d2bf1857adc59a4f08fcf2afaa916b", "QmWV8rqZLxs1oQN9jxNWmnT1YdgLwCcscv94VARrhHf1T7"]),
    row(Filecoin, 64 * GIB, Update,
        ["1a392e7b759fb18e036c7559b5ece816", "QmUB6xTVjzBQGuDNeyJMrrJ1byk58vhPm8eY2Lv9pgwanp"],
        ["80e366df2f1011953c2d01c7b7c9ee8e", "Qmd794Jty7k26XJ8Eg4NDEks65Qk8G4GVfGkwqvymv8HAg"]),
    row(Filecash, 2 * KIB, PoRep,
        ["459261cff1b667ac60119b5973504df1", "QmaJVdcP5hMc92TYERy2zcxbKcttSf3YmGmw28NFiWNiiR"],
        ["807efe0ce714ffc4fdc30ce7c8d4959f", "QmV8H8yJD1B9dTvYs2PYBJ3xs6QwsJ1a3g5qBKDVUe9wmj"]),
    row(Filecash, 2 * KIB, Winning,
        ["55343318508cf540346d7026bda004b6", "QmPXg9Nfhkmne9Ts6HSnpfZTim1N7sryNooUwprpqnGDgv"],
        ["c51f2c5436cd66367ae78c51f0d88c62", "QmYfnVVgfrUDyvxFfhSsithucRUneUAE7CisjkWQcHWE2i"]),
    row(Filecash, 2 * KIB, Window,
        ["cf9a27c8d5e5bb1ec7679dc178e086dd", "QmTkitxLQPwXhSFg8Y4i2n4USSrETjsRMWMZ6THpmaKEq6"],
        ["1ecdb21ba0da5597249db73910c4824a", "QmZtwfkZgTLPahC72YRzMjaeN1xej9yv86dY4gEoi51cTj"]),
    row(Filecash, 4 * GIB, PoRep,
        ["55cec336e5c2b5275ff3cef38401a0da", "QmQqi3Ha3LbKPf1KgTArC3NUTBLWVBwt56f4fFcX1QRduZ"],
        ["384415cc396bea1d96c569d3a18ff00c", "QmVZnh11qqaeGaZ1YVaHgeEjGfCtBTCGRfapb42r5sjHac"]),
    row(Filecash, 4 * GIB, Winning,
        ["7860fbb58d734cddbef25ffb3a8682b9", "QmYRGdsr7L3hXWcAQKrkNMMhUXfsfhfxsrBhoez7zbSf2g"],
        ["55f50a92ba2726830f8ec85adf7d90ee", "QmeaxZu6ESeiTHH7EWiuqZZ58dLi55FYQYZNVxvrXf51vi"]),
    row(Filecash, 4 * GIB, Window,
        ["0585ed94ea189ae7de5eebca2b00bcd6", "QmbBxv2BG3Y3eSYddTNmTFJX77R14KVSrE3vByfE2wZQG1"],
        ["aad78e1aca110174fa9fe3f142d96072", "QmUJ8WrPWz6ZJAWT5BJkEJeQBii3A4Lj9pMMsGrx8ZGwqx"]),
    row(Filecash, 16 * GIB, PoRep,
        ["13426081829d62b5eeb3b9837ac12f13", "QmaWpJxJ7YcEN3VqG94YwBna3PLAgknbRS9eAoLGTwpHZM"],
        ["0e6f27b87a184449e7fc50f97f17fb49", "QmUjqsiQaZziKxgR86JA7Q1imuHpqbuRjMmq6k5vbv5WDu"]),
    row(Filecash, 16 * GIB, Winning,
        ["165f1d19edd3e0c8fca1419c8b81bec6", "QmZSfBBrDhKyo8gjPN83vgzNvTNsnFkW82EDTq957eT2TW"],
        ["568664f4b5d84fbef271156bbb85abe9", "QmYuAfcN4VSAJ9ocuqRYkq2wWsGWoZQczeJBejzQEkU1Vi"]),
    row(Filecash, 16 * GIB, Window,
        ["c798b8ac8f1e8c2caf3fca49b7cb9688", "QmeQoWydjK7YBABNaLsQieVetcXBPP86GQCboHbnNrVC7N"],
        ["3f7b0860ee8a4edb8977f949cddcd7bc", "QmeMEntrC1pHHzD9KwXT7z433Nt2EixuhvnpdUF38WULgT"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_file_has_a_name_of_its_own() {
        let mut digests = std::collections::HashSet::new();
        for row in TABLE {
            let id = ParamId::new(row.profile, row.circuit, row.size_bytes).unwrap();
            assert_eq!(published(&id), Some(row));
            for file in [FileKind::Params, FileKind::VerifyingKey] {
                let digest = row.digest(file).unwrap();
                assert_eq!(hex::decode(digest).unwrap().len(), 16);
                assert!(digests.insert(digest), "{id}");
                let cid: cid::Cid = row.cid(file).unwrap().parse().unwrap();
                assert_eq!(cid.version(), cid::Version::V0);
            }
            assert_eq!(row.digest(FileKind::Meta), None);
        }
        assert_eq!(TABLE.len(), 20 + 9);
    }

    #[test]
    fn equal_names_of_the_networks_have_different_digests() {
        let of = |profile| ParamId::new(profile, PoRep, 2 * KIB).unwrap();
        let (filecoin, filecash) = (of(Filecoin), of(Filecash));
        assert_eq!(filecoin.file_name(FileKind::Params), filecash.file_name(FileKind::Params));
        assert_ne!(published(&filecoin), published(&filecash));
        assert_eq!(published(&ParamId::new(Filecash, PoRep, 8 * MIB).unwrap()), None);
    }

    /// The first bytes of BLAKE2b-512 of "abc", RFC 7693, appendix A.
    #[test]
    fn digest_is_truncated_blake2b_512() {
        let mut told = 0;
        let digest = digest::<io::Error>(&b"abc"[..], |len| {
            told += len;
            Ok(())
        });
        assert_eq!(hex::encode(digest.unwrap()), "ba80a53f981c4d0d6a2797b69f12f6e9");
        assert_eq!(told, 3);
    }
}
