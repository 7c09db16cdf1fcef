//! Digests, counts and densities of single gadgets: `spec/snark.md` 7.1 and 7.2.
//!
//! Each unit first makes its own inputs, then calls the gadget once.

use bellman::SynthesisError;

use crate::circuit::cs::{CircuitSystem, DigestRecorder};
use crate::circuit::gadgets::bit::{self, Bit};
use crate::circuit::gadgets::insert::insert;
use crate::circuit::gadgets::label::label;
use crate::circuit::gadgets::num::{self, Num};
use crate::circuit::gadgets::path::{NodeHash, computed_root, parent};
use crate::circuit::gadgets::poseidon::{self, Tag};
use crate::circuit::gadgets::sha::{sha256, sha512};
use crate::sector::Profile;

type Cs = DigestRecorder;
type Wire = <Cs as CircuitSystem>::Wire;
type Result<T = ()> = std::result::Result<T, SynthesisError>;

fn number(cs: &mut Cs) -> Result<Num<Wire>> {
    num::alloc(cs, None)
}

fn bits(cs: &mut Cs, count: usize) -> Result<Vec<Bit<Wire>>> {
    bit::alloc_list(cs, &vec![0; count.div_ceil(64)], count)
}

fn poseidon_unit(cs: &mut Cs, arity: usize, tag: Tag) -> Result {
    let inputs = (0..arity).map(|_| number(cs)).collect::<Result<Vec<_>>>()?;
    poseidon::hash(cs, &inputs, tag).map(drop)
}

fn insert_unit(cs: &mut Cs, arity: usize) -> Result {
    let element = number(cs)?;
    let siblings = (1..arity).map(|_| number(cs)).collect::<Result<Vec<_>>>()?;
    let index = bits(cs, arity.ilog2() as usize)?;
    insert(cs, element, &siblings, &index).map(drop)
}

fn path_unit(cs: &mut Cs, hash: NodeHash, arities: &[usize]) -> Result {
    let leaf = number(cs)?;
    let computed = computed_root(cs, hash, leaf, arities, None)?;
    // The reference makes a root that is not yet a variable at the end.
    let root = number(cs)?;
    num::equal(cs, computed, root);
    Ok(())
}

fn label_unit(cs: &mut Cs, profile: Profile, layer: u32) -> Result {
    let value = |cs: &mut Cs| {
        let number = number(cs)?;
        num::to_hash_bits(cs, number)
    };
    let id = value(cs)?;
    let node = bits(cs, 64)?;
    let parents = (0..if layer == 1 { 6 } else { 14 }).map(|_| value(cs)).collect::<Result<Vec<_>>>()?;
    label(cs, profile, &id, layer, &node, &parents).map(drop)
}

/// Inputs, aux, constraints; non-zeros of A, B, C; aux variables in A and in B; digest.
fn check(
    name: &str,
    unit: impl FnOnce(&mut Cs) -> Result,
    counts: [usize; 3],
    non_zeros: [u64; 3],
    dense: [usize; 2],
    digest: &str,
) {
    let mut cs = Cs::new();
    unit(&mut cs).unwrap();
    let summary = cs.finish();
    assert_eq!([summary.inputs, summary.aux, summary.constraints], counts, "{name}");
    assert_eq!(summary.non_zeros, non_zeros, "{name}");
    assert_eq!(summary.dense, dense, "{name}");
    assert_eq!(hex::encode(summary.digest), digest, "{name}");
}

#[test]
fn poseidon_match_the_reference() {
    check(
        "Poseidon arity 2, tag 3",
        |cs| poseidon_unit(cs, 2, Tag::Merkle),
        [1, 313, 311],
        [2_119, 313, 386],
        [234, 234],
        "268d6e890dbeb79094d06437d48f4f361cfc67ba2664e147955ed5f94a50ee02",
    );
    check(
        "Poseidon arity 4, tag 15",
        |cs| poseidon_unit(cs, 4, Tag::Merkle),
        [1, 381, 377],
        [2_573, 381, 467],
        [285, 285],
        "6c9542b9c12337cab658768d13368fdabc0eebc0e8de95783e06b197251859fc",
    );
    check(
        "Poseidon arity 5, tag 31",
        |cs| poseidon_unit(cs, 5, Tag::Merkle),
        [1, 413, 408],
        [2_789, 413, 505],
        [309, 309],
        "f3eff2c841152a8ccd5a16ec55992576d4f58c884807e055038c9ff6f4a70967",
    );
    check(
        "Poseidon arity 8, tag 255",
        |cs| poseidon_unit(cs, 8, Tag::Merkle),
        [1, 513, 505],
        [3_598, 513, 624],
        [384, 384],
        "9bb14b049da5788603279b6e24681b77603096906fb63672288addb7e41139b6",
    );
    check(
        "Poseidon arity 11, tag 2047",
        |cs| poseidon_unit(cs, 11, Tag::Merkle),
        [1, 609, 598],
        [4_462, 609, 738],
        [456, 456],
        "f140f29bff40c63066edf87b158430246ca6f0dfb41834932d1b6bd99b6958b4",
    );
    check(
        "Poseidon arity 2, tag 2^40",
        |cs| poseidon_unit(cs, 2, Tag::Random),
        [1, 313, 311],
        [2_119, 313, 386],
        [234, 234],
        "904b94c9b79f1a45322a1da77e1ff3a0f4503774f5949125267e64c3143c8296",
    );
}

#[test]
fn insert_match_the_reference() {
    check(
        "insert 2",
        |cs| insert_unit(cs, 2),
        [1, 5, 3],
        [6, 3, 4],
        [3, 1],
        "39beb83934ba5dd68ab36e11aacfc64932ca6cf0967ccace927ace8724ec5925",
    );
    check(
        "insert 4",
        |cs| insert_unit(cs, 4),
        [1, 14, 10],
        [20, 10, 16],
        [10, 2],
        "3112801f5da91a44b423cb5cdcc3ce3b13ab11e8925e55b8c6a1aaffe9b4e0c2",
    );
    check(
        "insert 8",
        |cs| insert_unit(cs, 8),
        [1, 33, 25],
        [49, 26, 42],
        [23, 5],
        "1e678bf41d3ec699a1c54b7e50a7eeec23ae3f6a4c4bf800b8b6a5fe3317c68a",
    );
}

#[test]
fn numbers_match_the_reference() {
    check(
        "to_bits of a number",
        |cs| {
            let v = number(cs)?;
            num::to_bits(cs, v).map(drop)
        },
        [1, 256, 256],
        [510, 255, 256],
        [255, 255],
        "5c59f7152120e351dfdb1c8a35f0be8238f474d0d495cbb848ad4197cd329c1a",
    );
    check(
        "inputize a number",
        |cs| {
            let v = number(cs)?;
            num::inputize(cs, v)
        },
        [2, 1, 1],
        [1, 1, 1],
        [0, 0],
        "ab59f9bd04f26f74d9b4f67ee4b996558fb22e7b9eef5094411c4a39dc1c3330",
    );
    check(
        "64 bits, packed into an input",
        |cs| {
            let bits = bits(cs, 64)?;
            num::pack_into_inputs(cs, &bits)
        },
        [2, 64, 65],
        [192, 65, 1],
        [64, 64],
        "563d93e82e3d58c0a25c8660a4191e7f39f3e7944c225192872a03ad5aee31c3",
    );
    check(
        "300 bits packed into inputs",
        |cs| {
            let bits = bits(cs, 300)?;
            num::pack_into_inputs(cs, &bits)
        },
        [3, 300, 302],
        [900, 302, 2],
        [300, 300],
        "331e3ed02b663c7913753440e843246ef15664f2b95b04277449c525fb1b440b",
    );
    check(
        "254 bits packed",
        |cs| {
            let bits = bits(cs, 254)?;
            num::pack(cs, &bits).map(drop)
        },
        [1, 255, 255],
        [762, 255, 1],
        [254, 254],
        "b1c893b23ff420342c333edcd6642bec88d5bfa34f48b2469c1c4b31b35f9a0e",
    );
    check(
        "equal of two numbers",
        |cs| {
            let (x, y) = (number(cs)?, number(cs)?);
            num::equal(cs, x, y);
            Ok(())
        },
        [1, 2, 1],
        [1, 1, 1],
        [1, 0],
        "92686d05ac53dbfa31564a903149df2c4d5ba98c75929d0cf77b969ea77c2018",
    );
    check(
        "encode of key, value",
        |cs| {
            let (key, value) = (number(cs)?, number(cs)?);
            num::encode(cs, key, value).map(drop)
        },
        [1, 3, 1],
        [2, 1, 1],
        [2, 0],
        "59e4ef6ea97c77e6499464afbc68c05fb6f09e8b18077e3b7466026132e3b899",
    );
}

#[test]
fn sha256_match_the_reference() {
    check(
        "sha256 of 0 bits",
        |cs| {
            let bits = bits(cs, 0)?;
            sha256(cs, &bits).map(drop)
        },
        [1, 0, 0],
        [0, 0, 0],
        [0, 0],
        "ca888f40c3caca805b37a5434c75de5550616e0795e7602fb91156f22dd90851",
    );
    check(
        "sha256 of 256 bits",
        |cs| {
            let bits = bits(cs, 256)?;
            sha256(cs, &bits).map(drop)
        },
        [1, 25_474, 25_500],
        [58_287, 25_532, 55_098],
        [25_474, 6_566],
        "4aface69811781453591977b3b6386b7049eb3678e3aa3fc3fb96ff204b06cc5",
    );
    check(
        "sha256 of 512 bits",
        |cs| {
            let bits = bits(cs, 512)?;
            sha256(cs, &bits).map(drop)
        },
        [1, 45_340, 45_386],
        [103_935, 45_418, 96_380],
        [45_340, 11_500],
        "50cfe4d8df214f52e4bda5913a2a23841ec3a7413adf9fd1aa1180cc13d858b6",
    );
    check(
        "sha256 of 1024 bits",
        |cs| {
            let bits = bits(cs, 1024)?;
            sha256(cs, &bits).map(drop)
        },
        [1, 72_018, 72_090],
        [165_807, 72_122, 154_066],
        [72_018, 18_322],
        "659e51c7b9b25b8e3b408fcaf1b7ccf9408656fa32500c7ae92106eb1459a71a",
    );
}

#[test]
fn paths_match_the_reference() {
    check(
        "binary SHA node of two numbers (1.10)",
        |cs| {
            let children = [number(cs)?, number(cs)?];
            parent(cs, NodeHash::Sha256, &children).map(drop)
        },
        [1, 45_333, 45_379],
        [104_170, 45_409, 96_869],
        [45_330, 11_498],
        "0ca16ff71adf1e15e25d9f0185fcaf21affa5380532616ee8e899a9f5a06d7e4",
    );
    check(
        "path with input, SHA, 64 leaves",
        |cs| path_unit(cs, NodeHash::Sha256, &[2; 6]),
        [2, 272_012, 272_294],
        [625_063, 272_474, 581_240],
        [271_999, 68_994],
        "898be13f19cb711c52753f8fc053302e1bade1124f18ae12acc6bae8938d2d24",
    );
    check(
        "path with input, 8-0-0, 64 leaves",
        |cs| path_unit(cs, NodeHash::Poseidon, &[8, 8]),
        [2, 1_076, 1_062],
        [7_301, 1_080, 1_334],
        [815, 778],
        "a403fac7a713b58d5246d06f34094422c4a04582f99f3e6e1050d21b39974560",
    );
    check(
        "path with input, 8-2-0, 128 leaves",
        |cs| path_unit(cs, NodeHash::Poseidon, &[8, 8, 2]),
        [2, 1_391, 1_376],
        [9_427, 1_396, 1_724],
        [1_052, 1_013],
        "c78fc45c605cb76d7209c9bc5fc41c953643f95f840eefe13ebe3f3f64d771c3",
    );
    check(
        "path with input, 8-4-0, 256 leaves",
        |cs| path_unit(cs, NodeHash::Poseidon, &[8, 8, 4]),
        [2, 1_466, 1_449],
        [9_896, 1_471, 1_817],
        [1_110, 1_065],
        "d6720b9681ba279456a02c6cdd2a3c89e8c2bbc58ab11eb222fd32bee534bca0",
    );
    check(
        "path with input, 8-8-0, 512 leaves",
        |cs| path_unit(cs, NodeHash::Poseidon, &[8, 8, 8]),
        [2, 1_613, 1_592],
        [10_951, 1_619, 2_000],
        [1_222, 1_167],
        "8b5cc51303746ec1e40271fd970496f9eaaae58431032644ca0de5e16d37e44e",
    );
    check(
        "path with input, 8-8-2, 1024 leaves",
        |cs| path_unit(cs, NodeHash::Poseidon, &[8, 8, 8, 2]),
        [2, 1_928, 1_906],
        [13_077, 1_935, 2_390],
        [1_459, 1_402],
        "ee22f5d1a9b7328d72c4e83a62062f15c207ef96903eca3f4a4a2d24b68c5fb7",
    );
}

#[test]
fn filecoin_labels_match_the_reference() {
    check(
        "label Filecoin, layer 1",
        |cs| label_unit(cs, Profile::Filecoin, 1),
        [1, 523_605, 524_125],
        [1_216_252, 524_150, 1_151_053],
        [523_597, 128_049],
        "41a96996b9ccec518d493dcee3252bd1c7dabba6a07b51d50dd02c5d1a708bb9",
    );
    check(
        "label Filecoin, layer 2",
        |cs| label_unit(cs, Profile::Filecoin, 2),
        [1, 525_653, 526_173],
        [1_220_332, 526_190, 1_153_101],
        [525_637, 130_089],
        "8886c6c62bb904b5d83082dddbc564f5356c14c3f152bcc857d917528037eec1",
    );
    check(
        "label Filecoin, layer 11",
        |cs| label_unit(cs, Profile::Filecoin, 11),
        [1, 525_653, 526_173],
        [1_220_332, 526_190, 1_153_101],
        [525_637, 130_089],
        "2cd1835437b2e86dc6bf357669216d5f0a6eb51c6bb968c582a24b1f7515ff1d",
    );
    check(
        "label Filecoin, layer 3",
        |cs| {
            let parents = (0..37).map(|_| bits(cs, 256)).collect::<Result<Vec<_>>>()?;
            let id = bits(cs, 256)?;
            let node: Vec<_> = (0..64).map(|i| Bit::constant(22_u64 >> i & 1 == 1)).collect();
            label(cs, Profile::Filecoin, &id, 3, &node, &parents).map(drop)
        },
        [1, 531_505, 532_025],
        [1_231_915, 532_057, 1_149_345],
        [531_504, 135_928],
        "66f7a535ffa99d97dbdf20926e1edbfba6f84880756c69e7552b4f0b18247722",
    );
}

#[test]
fn sha512_match_the_reference() {
    check(
        "sha512 of 0 bits",
        |cs| {
            let bits = bits(cs, 0)?;
            sha512(cs, &bits).map(drop)
        },
        [1, 0, 0],
        [0, 0, 0],
        [0, 0],
        "ca888f40c3caca805b37a5434c75de5550616e0795e7602fb91156f22dd90851",
    );
    check(
        "sha512 of 512 bits",
        |cs| {
            let bits = bits(cs, 512)?;
            sha512(cs, &bits).map(drop)
        },
        [1, 65_322, 65_399],
        [152_370, 65_463, 143_794],
        [65_322, 15_846],
        "eaa718cc4ce49b038106b054bab17c07f1260533c1b715f5f957c168b87d20e9",
    );
    check(
        "sha512 of 1024 bits",
        |cs| {
            let bits = bits(cs, 1024)?;
            sha512(cs, &bits).map(drop)
        },
        [1, 113_996, 114_129],
        [267_180, 114_193, 245_580],
        [113_996, 27_468],
        "2a5916b2b01c23f5eed08757aafc0db99cb92c572394292ce8806cd28632c551",
    );
    check(
        "sha512 of 2048 bits",
        |cs| {
            let bits = bits(cs, 2048)?;
            sha512(cs, &bits).map(drop)
        },
        [1, 181_746, 181_956],
        [426_735, 182_020, 394_610],
        [181_746, 43_826],
        "a71cf7e6dde930e4f7eeff7d605e66ce96ed68ed3f41d889e7d2bb4de33c3ced",
    );
}

#[test]
fn filecash_labels_match_the_reference() {
    check(
        "label Filecash, layer 1",
        |cs| label_unit(cs, Profile::Filecash, 1),
        [1, 1_333_128, 1_334_668],
        [3_140_892, 1_334_725, 2_973_158],
        [1_333_120, 308_529],
        "da0167de1ee2391c70c4f5d1f9a2c780360b507547ce5c4a8828d5498eaae301",
    );
    check(
        "label Filecash, layer 2",
        |cs| label_unit(cs, Profile::Filecash, 2),
        [1, 1_335_176, 1_336_716],
        [3_144_972, 1_336_765, 2_975_206],
        [1_335_160, 310_569],
        "d77da8d3ea1306f51a1ad9afae7e11d986b688d165e16ad79a1c24fe6e5183c8",
    );
    check(
        "label Filecash, layer 11",
        |cs| label_unit(cs, Profile::Filecash, 11),
        [1, 1_335_176, 1_336_716],
        [3_144_972, 1_336_765, 2_975_206],
        [1_335_160, 310_569],
        "ba42e92000635db0aa13b35924dd53848246c9c99860d0b983159935c3d7e9b2",
    );
    check(
        "label Filecash, layer 3",
        |cs| {
            let parents = (0..37).map(|_| bits(cs, 256)).collect::<Result<Vec<_>>>()?;
            let id = bits(cs, 256)?;
            let node: Vec<_> = (0..64).map(|i| Bit::constant(22_u64 >> i & 1 == 1)).collect();
            label(cs, Profile::Filecash, &id, 3, &node, &parents).map(drop)
        },
        [1, 1_341_121, 1_342_661],
        [3_156_702, 1_342_725, 2_971_729],
        [1_341_120, 316_408],
        "605bc87c0165c09632cb9a70bb31bd4945c5928aaa6d59e0299c6d9a47f7d9af",
    );
}
