//! Writes the first corpora: valid inputs of every target, and a few that are nearly valid.
//!
//! `cargo run --example seeds` in `tests/fuzz`. What fuzzing found later stands beside them and is not touched.

use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use blstrs::{G1Affine, G1Projective, G2Affine};
use ff::Field;
use filecash_engine::api::SectorIdentity;
use filecash_engine::api::batch::SealStatement;
use filecash_engine::api::seal_list::SealList;
use filecash_engine::circuit::{Column, Shape};
use filecash_engine::config::Config;
use filecash_engine::field::Fr;
use filecash_engine::groth16::{
    Proof, Simulator, SrsFile, SrsSecrets, Toxic, VerifyingKey, Version, aggregate, setup, setup_srs,
};
use filecash_engine::job::{Cancel, Job, Quiet};
use filecash_engine::porep::outputs::{PreCommit1Output, PreCommit2Output};
use filecash_engine::sector::piece::{PaddedLen, PieceInfo, zero_commitment};
use filecash_engine::sector::{Profile, SealProof, cid, params};
use filecash_engine::store::aux::{PAux, TAux};
use filecash_engine::store::manifest::{FileRecord, Identity, Manifest};
use filecash_engine::update::{Encoded, UpdateCommitments, UpdateProof};
use filecash_ipld::car::{CarOptions, CarReader, IndexedCarWriter};
use filecash_ipld::codec::Codec;
use filecash_ipld::codec::dag_pb::{PbLink, PbNode};
use filecash_ipld::data_transfer::Channel;
use filecash_ipld::hash::HashKind;
use filecash_ipld::selector::Selector;
use filecash_ipld::wire::bitswap::{Message, Version as Bitswap, Want, WantKind};
use filecash_ipld::wire::data_transfer::{ChannelId, Opening, Typed};
use filecash_ipld::{Block, Ipld};
use group::Curve;
use group::prime::PrimeCurveAffine;
use rand_core::SeedableRng;
use rand_xorshift::XorShiftRng;

fn put(target: &str, name: &str, bytes: impl AsRef<[u8]>) {
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("corpus").join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// A valid input, and its damaged kin.
fn put_all(target: &str, name: &str, bytes: &[u8]) {
    put(target, name, bytes);
    put(target, &format!("{name}-cut"), &bytes[..bytes.len() - 1]);
    put(target, &format!("{name}-long"), [bytes, b"\0"].concat());
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 0x10;
    put(target, &format!("{name}-flipped"), flipped);
}

fn json(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn main() {
    phases();
    files();
    keys();
    aggregates();
    numbers();
    text();
    updates();
    space_time();
    calls();
    blocks();
    requests();
    exchanges();
    graphsync();
    told();
    channels();
}

/// An edit of a sample; see `filecash_fuzz::edited`.
fn edit(operation: u8, place: u32, value: u8) -> [u8; 5] {
    let [a, b, c, _] = place.to_le_bytes();
    [operation, a, b, c, value]
}

fn phases() {
    for target in ["c1_json", "c1_bincode", "synthetic_record"] {
        put(target, "sample", []);
        let edits = [
            ("number", edit(0, 0, b'9')),
            ("flip", edit(1, 300, 1)),
            ("node", edit(0, 4000, 0xff)),
            ("cut", edit(2, 20_000, 0)),
            ("insert", edit(3, 8, b' ')),
            ("remove", edit(4, 700, 9)),
            ("repeat", edit(5, 100, 64)),
            ("last", edit(1, 0xff_ffff, 0x80)),
        ];
        edits.iter().for_each(|(name, edit)| put(target, name, edit));
        put(target, "two", [edit(0, 5000, 0), edit(0, 5001, 0)].concat());
    }
    put(
        "c1_json",
        "empty-lists",
        br#"{"registered_proof":"StackedDrg2KiBV1","vanilla_proofs":{"StackedDrg2KiBV1":[[]]}}"#,
    );
    put("c1_json", "deep", vec![b'['; 300]);
    let mut head = vec![0; 24];
    (head[0], head[8]) = (7, 1);
    put("c1_bincode", "head", &head);
    head[16..].fill(0xff);
    put("c1_bincode", "huge-list", head);

    for profile in Profile::ALL {
        let proof = SealProof::for_size(profile, 2048).unwrap();
        let pc1 = PreCommit1Output::new("/c", proof.config().params, [7; 32]);
        put_all("pc1_json", &format!("{profile}-api"), &json(|out| pc1.write_api_json(&proof, out).unwrap()));
        let pc2 = PreCommit2Output { comm_r: [3; 32], comm_d: [7; 32] };
        put_all("pc2_json", &format!("{profile}-api"), &json(|out| pc2.write_api_json(&proof, out).unwrap()));
    }
    let params = params::for_size(Profile::Filecash, 2048).unwrap();
    let pc1 = PreCommit1Output::new("/c", params, [7; 32]);
    put_all("pc1_json", "library", &json(|out| pc1.write_json(out).unwrap()));
    let pc2 = PreCommit2Output { comm_r: [0x73; 32], comm_d: [0; 32] };
    put_all("pc2_json", "library", &json(|out| pc2.write_json(out).unwrap()));
}

fn files() {
    put_all("p_aux", "aux", &PAux { comm_c: [1; 32], comm_r_last: [2; 32] }.encode());
    put("p_aux", "ones", [0xff; 64]);
    for size in [2 << 10, 4 << 10, 4 << 30] {
        let params = params::for_size(Profile::Filecash, size).unwrap();
        put_all("t_aux", params.name, &TAux::new("/c", params, 2).encode().unwrap());
    }
    let config = SealProof::by_id(Profile::Filecash, 7).unwrap().config();
    let mut manifest = Manifest::new(Identity::new(&config, &[1; 32]));
    put_all("manifest", "empty", &serde_json::to_vec(&manifest).unwrap());
    manifest.record("sc-02-data-layer-1.dat", FileRecord { size_bytes: 2048, sha256: [5; 32] });
    put_all("manifest", "one", &serde_json::to_vec(&manifest).unwrap());
    put("manifest", "twice", serde_json::to_string(&manifest).unwrap().replace("1.dat", "1.dat\":{\"a\":1},\"b"));
    put("parent_table", "right", [0]);
    put("parent_table", "flipped", [&[0][..], &edit(1, 100_000, 1)].concat());
    put("parent_table", "cut", [&[0][..], &edit(2, 400_000, 0)].concat());
    put("parent_table", "empty", [1]);
    put("parent_table", "digest-flipped", [&[2][..], &edit(1, 3, 1)].concat());
    put("parent_table", "digest-text", b"\x03not a digest");
    put("parent_table", "digest-bytes", b"\x03\xff\xfe");
}

fn keys() {
    let g1 = |i: u64| (G1Affine::generator() * Fr::from(i)).to_affine();
    let g2 = |i: u64| (G2Affine::generator() * Fr::from(i)).to_affine();
    let key = VerifyingKey {
        alpha_g1: g1(2),
        beta_g1: g1(3),
        beta_g2: g2(3),
        gamma_g2: g2(4),
        delta_g1: g1(5),
        delta_g2: g2(5),
        ic: (6..9).map(g1).collect(),
    };
    put_all("vk", "key", &key.to_bytes());
    let none = VerifyingKey { ic: vec![], ..key.clone() };
    put("vk", "no-inputs", none.to_bytes());
    let identity = VerifyingKey { alpha_g1: G1Affine::identity(), ..key };
    put("vk", "identity", identity.to_bytes());

    let mut shape = Shape::new();
    let (y, x, one) = (shape.push_input(), shape.push_aux(), Fr::ONE);
    shape.push_constraint(&mut vec![(x, one)], &mut vec![(x, one)], &mut vec![(y, one)]);
    shape.push_constraint(&mut vec![(x, one)], &mut vec![(Column::ONE, one)], &mut vec![(x, one)]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("params");
    let config = Config::default();
    let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
    setup(&job, &shape, &Toxic::random(XorShiftRng::from_seed([9; 16])), &path).unwrap();
    let params = fs::read(path).unwrap();
    put_all("params_header", "params", &params);
    put("params_header", "head", &params[..900]);
    let mut many = params;
    many[864..868].fill(0xff);
    put("params_header", "many-inputs", many);

    let proof = Proof { a: g1(2), b: g2(3), c: (G1Projective::from(g1(4)) + g1(5)).to_affine() };
    put_all("proof_bytes", "one", &proof.to_bytes());
    put("proof_bytes", "two", [proof.to_bytes(), proof.to_bytes()].concat());
    put("proof_bytes", "none", []);
    put("proof_bytes", "identity", Proof { c: G1Affine::identity(), ..proof }.to_bytes());
}

fn aggregates() {
    let mut rng = XorShiftRng::from_seed([2; 16]);
    let secrets = SrsSecrets::random(&mut rng);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    let config = Config::default();
    let job = Job { config: &config, progress: &Quiet, cancel: &Cancel::default() };
    setup_srs(&job, &secrets, 4, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    put_all("srs", "four", &bytes);
    let mut many = bytes.clone();
    many[..4].fill(0xff);
    put("srs", "many", many);
    put("srs", "counts", [0; 16]);
    let mut swapped = bytes;
    swapped.copy_within(100..148, 148);
    put("srs", "repeated", swapped);

    let simulator = Simulator::random(1, &mut rng);
    let inputs = [Fr::from(7)];
    let proofs = [simulator.prove(&inputs, &mut rng), simulator.prove(&inputs, &mut rng)];
    let prover = SrsFile::open(&path).unwrap().prover(&job, 2).unwrap();
    let proof = aggregate::prove(&job, &prover, &proofs, b"seeds", Version::V2).unwrap();
    let bytes = proof.to_bytes().unwrap();
    put_all("aggregate", "two", &bytes);
    let mut more = bytes.clone();
    more[1488] = 4;
    put("aggregate", "of-four", more);
    let mut none = bytes;
    none[1440..1488].fill(0);
    none[1440] = 0xc0;
    put("aggregate", "identity", none);

    let identity = SectorIdentity { prover_id: [9; 32], sector_id: 42, ticket: [1; 32] };
    let statement = SealStatement { identity, comm_r: [2; 32], comm_d: [3; 32], seed: [4; 32] };
    let proof = SealProof::for_size(Profile::Filecoin, 2048).unwrap();
    let list = SealList { proof, seals: vec![(statement, vec![5; 4]), (statement, vec![])] };
    put_all("seal_list_json", "two", &list.to_json());
    put("seal_list_json", "none", br#"{"registered_proof":"StackedDrg4GiBV1","seals":[]}"#);
}

fn numbers() {
    let largest = filecash_engine::field::fr::to_node(&-Fr::ONE);
    let mut modulus = largest;
    modulus[0] += 1;
    put("field_element", "around-the-modulus", [largest, modulus, [0; 32], [0xff; 32]].concat());
    put("field_element", "small", [[1; 32], largest].concat());
    let raw: Vec<u8> = (0..700_u32).map(|i| (i % 251) as u8).collect();
    for target in ["fr32_pad", "fr32_unpad"] {
        put(target, "empty", [0]);
        put(target, "one-by-one", [&[0], &raw[..200]].concat());
        put(target, "steps", [&[3, 6, 126, 30], &raw[..]].concat());
        put(target, "ones", [&[1, 127], &[0xff; 256][..]].concat());
    }
    let sizes = [0_u64, 1, 127, 128, 254, 256, 2032, 2048, 127 << 53, 1 << 60, (1 << 60) + 1, u64::MAX];
    put("piece_sizes", "sizes", sizes.map(u64::to_le_bytes).concat());
    put("piece_sizes", "places", [127_u64 << 8, 127, 381 << 8, 508, 128 << 8, u64::MAX].map(u64::to_le_bytes).concat());
}

fn text() {
    put("fetch_places", "gateway", "https://ipfs.io/ipfs");
    put("fetch_places", "mirror", "HTTP://[::1]:80/a//");
    put("fetch_places", "range", "bytes 0-99/1000");
    put("fetch_places", "nobody", "http:///");
    put("fetch_places", "unknown-length", "bytes 0-99/*");
    // A claim, headers down, messages up, the end.
    let whole =
        [[2, 1, 7, 90], [4, 0, 91, 0], [4, 0, 50, 0], [5, 0, 20, 9], [5, 0, 20, 3], [5, 0, 50, 9], [6, 0, 0, 0]];
    put("sync", "whole", whole.concat());
    // Two claims; the first peer fails and lies, and then the other does at first.
    let liar = [
        [2, 9, 8, 200],
        [2, 1, 7, 90],
        [4, 0, 201, 0],
        [7, 0, 2, 0],
        [7, 0, 3, 0],
        [7, 0, 4, 0],
        [1, 0, 0, 0],
        [2, 1, 6, 91],
        [4, 0, 92, 0],
        [7, 0, 1, 0],
        [5, 0, 20, 4],
        [6, 0, 2, 0],
        [0, 9, 0, 0],
    ];
    put("sync", "liar", liar.concat());
    put("cid", "zero-piece", "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigmy");
    put("cid", "replica", cid::of_replica(&[7; 32]).to_string());
    put("cid", "cut", "baga6ea4seaqdomn3tgwgrh3g532zopskstnbrd2n3sxfqbze7rxt7vqn7veigm");
    put("cid", "version-0", "QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n");
    put("cid", "raw", "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy");
    put("cid", "not-ascii", "bé");

    let piece = |size: u64| {
        let size = PaddedLen::new(size).unwrap();
        PieceInfo { commitment: zero_commitment(size), size: size.unpadded() }
    };
    put_all("pieces_json", "full", &serde_json::to_vec(&[1024, 512, 512].map(piece)).unwrap());
    put_all("pieces_json", "gaps", &serde_json::to_vec(&[128, 1024, 128].map(piece)).unwrap());
    put("pieces_json", "huge", serde_json::to_vec(&[1 << 60, 128].map(piece)).unwrap());
    put("pieces_json", "none", "[]");

    put(
        "settings",
        "all",
        "profile = \"filecash\"\nmemory = \"4GiB\"\nthreads = 8\nrows_to_discard = 2\n\
        parameter_cache = \"~/p\"\nparent_cache = \"tables\"\n",
    );
    put("settings", "bytes", "memory = 67108864");
    put("settings", "little", "memory = 1");
    put("settings", "negative", "memory = -1\nthreads = -1");
    put("settings", "overflow", "memory = \"18446744073709551615TiB\"");
    put("settings", "unknown", "mem = 1");
    put("settings", "table", "[a.b]\nc = [1, {d = 1979-05-27T07:32:00Z}]");
    put("settings", "empty", "");
}

fn calls() {
    let genesis = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"Filecoin.{method}","params":{params}}}"#)
    };
    put_all("rpc", "version", call("Version", "[]").as_bytes());
    put("rpc", "height", call("ChainGetTipSetByHeight", "[0,null]"));
    put("rpc", "state", call("StateGetActor", &format!(r#"["f02",[{{"/":"{genesis}"}}]]"#)));
    put("rpc", "token", call("AuthNew", r#"[["read","admin"]]"#));
    let methods = ["ChainGetBlock", "ChainGetBlockMessages", "ChainGetParentMessages", "ChainReadObj"];
    let calls = methods.map(|method| call(method, &format!(r#"[{{"/":"{genesis}"}}]"#)));
    put("rpc", "batch", format!("[{}]", calls.join(",")));
    put(
        "rpc",
        "peer",
        call("NetConnect", r#"[{"ID":"12D3KooWMAQi4qTg69a683R1Dvz2XzKhjTCHq8uuwd5PkhM45vff","Addrs":null}]"#),
    );
    put("rpc", "channel", call("ChainNotify", "[]"));
    put("rpc", "count", call("ChainHead", "[1]"));
    put("rpc", "deep", "[".repeat(500));
    put("rpc", "object", r#"{"id":{"a":[1.5e300]},"method":"Filecoin.ID","meta":{"SpanContext":"x"},"params":null}"#);
}

fn space_time() {
    put("post_vanilla", "sample", []);
    let edits = [
        ("sector", edit(0, 0, 2)),
        ("comm-r", edit(0, 39, 0xff)),
        ("sectors", edit(0, 40, 2)),
        ("openings", edit(1, 48, 0x10)),
        ("tag", edit(0, 56, 1)),
        ("levels", edit(1, 124, 4)),
        ("node", edit(0, 300, 0xff)),
        ("cut", edit(2, 5000, 0)),
        ("insert", edit(3, 100, 0)),
        ("last", edit(1, 0xff_ffff, 0x80)),
    ];
    edits.iter().for_each(|(name, edit)| put("post_vanilla", name, edit));
}

fn blocks() {
    let js = include_bytes!("../../vectors/js-car.car");
    put_all("car", "js", js);
    put("car", "padded", [&js[..], &[0; 60]].concat());
    let mut writer = IndexedCarWriter::new(Cursor::new(Vec::new()), &[]).unwrap().fully_indexed();
    let mut parts = CarReader::new(&js[..], &CarOptions::default()).unwrap().map(Result::unwrap);
    parts.by_ref().for_each(|block| writer.write(&block).unwrap());
    let indexed = writer.finish().unwrap().into_inner();
    put_all("car", "indexed", &indexed);
    let mut claims = js.to_vec();
    claims[99] = 0xff;
    put("car", "claims", claims);

    let part = |place: usize| CarReader::new(&js[..], &CarOptions::default()).unwrap().nth(place).unwrap().unwrap();
    let map = part(5);
    put_all("dag", "cbor", map.bytes());
    put("dag", "deep", [0x81; 200]);
    put("dag", "huge", [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let link =
        |name: &str, place: usize| PbLink { cid: *part(place).cid(), name: Some(name.to_owned()), tsize: Some(300) };
    let node = PbNode { links: vec![link("a", 0), link("", 2), link("map", 5)], data: Some(vec![8, 1]) };
    put_all("dag", "pb", &node.encode());
    let links = PbNode { data: None, ..node };
    put("dag", "data-first", [&[0x0a, 2, 8, 1], &links.encode()[..]].concat());
    put("dag", "empty", []);
}

fn requests() {
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let car = "application/vnd.ipld.raw;q=0.5, application/vnd.ipld.car;version=1;order=\"dfs\";dups=y";
    let query = "dag-scope=entity&entity-bytes=-5%3A*&car-dups=n&filename=%C3%BC";
    put("gateway", "car", format!("/ipfs/{cid}/a%20b/%C3%BC?{query}\n{car}\n-5:-1"));
    put("gateway", "raw", format!("/ipfs/{cid}?format=raw\ntext/html\nbytes=-500"));
    let piece = "bafkzcibd64bqlxticxolgseegik2stpfgkkuwyf6kufex3doorkvmzpjuxwe4dz4";
    put("gateway", "piece", format!("/piece/{piece}\n\nbytes=5-99999999999999999999999"));
    put("gateway", "nothing", "/ipfs/Qm\u{1}\n;q=2,\"\n9223372036854775807:-9223372036854775808");
}

fn updates() {
    put("partition_proofs", "sample", []);
    let edits = [
        ("count", edit(0, 0, 2)),
        ("comm-c", edit(0, 39, 0xff)),
        ("apex-leaves", edit(1, 40, 0x10)),
        ("tag", edit(0, 312, 1)),
        ("node", edit(0, 4000, 0xff)),
        ("cut", edit(2, 15_000, 0)),
        ("remove", edit(4, 700, 32)),
        ("repeat", edit(5, 100, 64)),
        ("last", edit(1, 0xff_ffff, 0x80)),
    ];
    edits.iter().for_each(|(name, edit)| put("partition_proofs", name, edit));

    let proof = UpdateProof::by_id(Profile::Filecoin, 0).unwrap();
    let commitments = UpdateCommitments { comm_r_old: [1; 32], comm_r_new: [2; 32], comm_d_new: [3; 32] };
    let encoded = Encoded { commitments, comm_r_last_new: [4; 32] };
    put_all("update_json", "2KiB", &json(|sink| encoded.write_json(&proof, sink).unwrap()));
    put("update_json", "none", "{}");
}

/// Wants and what becomes of them; see the targets for what the bytes mean.
fn exchanges() {
    let block = |number: u8| {
        let bytes = [&vec![number; usize::from(number) * 10][..], &[number]].concat();
        *Block::new(HashKind::Sha256, Codec::Raw, bytes).unwrap().cid()
    };
    let want = |number, kind| Want { cid: block(number), priority: 1, cancel: false, kind, send_dont_have: true };
    let wants = vec![want(1, WantKind::Block), want(2, WantKind::Have), want(9, WantKind::Block)];
    let message = Message { wants, full: true, ..Message::default() }.encode(Bitswap::V1_2_0).unwrap();
    // The first peer wants three, of which two are here, and one comes later.
    let told = [&[0, 1, message.len() as u8][..], &message, &[2, 5, 3, 9, 2, 13]].concat();
    put_all("bitswap_engine", "message", &told);
    // A peer wants a block, another that it cancels, and whether a third is there; then it is answered, and somebody else goes.
    put_all("bitswap_engine", "wants", &[1, 1, 6, 5, 0x83, 9, 0x42, 5, 2, 13, 4, 2]);
    put("bitswap_engine", "many", (0..120).flat_map(|number| [1, number]).collect::<Vec<_>>());
    put_all("bitswap_session", "one-peer", &[1, 0, 3, 1, 3, 2, 3, 3, 5, 1, 5, 2, 5, 3, 8, 0]);
    // Two peers: one says that it has the block, and goes; the other sends it.
    put_all("bitswap_session", "search", &[1, 0, 19, 0, 3, 2, 6, 2, 7, 255, 7, 255, 2, 1, 23, 2]);
    put("bitswap_session", "full", (0..250).flat_map(|number| [3, number, 5, number]).collect::<Vec<_>>());
}

/// Requests and answers of graphsync.
fn graphsync() {
    // The root and what is below it, then a cancel of another.
    put_all("graphsync_responder", "whole", &[2, 0x60, 7, 0, 7, 0, 3, 1]);
    put("graphsync_responder", "refused", [3 * 8 + 1, 0xf1, 7, 0]);
    put("graphsync_responder", "held", [0, 0, 8 * 8, 0, 64 + 1, 0x53, 1, 0x52, 2 * 64 + 2, 0x54, 4, 2, 5, 2]);
    put(
        "graphsync_responder",
        "many",
        (0..200).flat_map(|number: u8| [number.wrapping_mul(8) | 1, number, 7, 0]).collect::<Vec<u8>>(),
    );
    // One as programs write it: everything, of a root that is not here.
    let message = hex::decode(
        "1246080112260171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1\
         1a1aa16152a2616ca1646e6f6e65a0623a3ea16161a1613ea16140a0",
    )
    .unwrap();
    put_all("graphsync_responder", "message", &[&[0, message.len() as u8][..], &message].concat());
    // The root, then lists and leaves in the order of the walk; those that came before are said to be duplicates.
    let walk = [0, 1, 5, 6, 7, 2, 6 | 16, 7 | 16, 8, 3, 7 | 16, 8 | 16, 9, 4, 8 | 16, 9 | 16, 10];
    put_all("graphsync_pull", "whole", &[&[10, walk.len() as u8][..], &walk].concat());
    // The lists are missing.
    put_all("graphsync_pull", "missing", &[4, 1, 0, 11, 4, 0xa1, 0xa2, 0xa3, 0xa4]);
    put("graphsync_pull", "unasked", [4, 1, 15, 4, 1, 0]);
    put("graphsync_pull", "order", [4, 2, 0, 2]);
    put("graphsync_pull", "refused", [20, 0]);
}

/// What nodes tell each other of the chain: the samples of the specification.
fn told() {
    let genesis = "d82a5827000171a0e402206bce4b2871b0b9102523b3b4c9fb547a6586584c984c4b9dc5d4cfd3cafddce1";
    put_all("chain_wire", "hello", &hex::decode(format!("8481{genesis}0040{genesis}")).unwrap());
    put_all("chain_wire", "request", &hex::decode(format!("8381{genesis}0103")).unwrap());
    put("chain_wire", "response", hex::decode("8318c96080").unwrap());
    put("chain_wire", "latency", hex::decode("820102").unwrap());
}

/// Messages of data transfer as other programs write them, and channels from their openings to their ends.
fn channels() {
    let vectors: HashMap<String, String> =
        serde_json::from_str(include_str!("../../vectors/wire/data_transfer.json")).unwrap();
    let message = |name: &str| hex::decode(&vectors[name]).unwrap();
    let alone = |name: &str| [&[0][..], &message(name)].concat();
    put_all("data_transfer", "push", &alone("1.1 new push"));
    for (name, vector) in [
        ("push-1.0", "1.0 new push"),
        ("pull", "1.2 new pull"),
        ("pull-1.0", "1.0 new pull"),
        ("restart", "1.1 restart"),
        ("please-restart", "1.1 please restart"),
        ("voucher", "1.2 voucher"),
        ("accepted", "1.1 accepted"),
        ("result-1.0", "1.0 result"),
        ("complete", "1.2 complete"),
        ("cancelled", "1.1 cancelled"),
    ] {
        put("data_transfer", name, alone(vector));
    }

    // An initiator that pulls: accepted, some data, both wait for a time, a cut, restarted, all of it, and done.
    let pulls =
        [&[6, 1, 1, 1, 2, 0x01, 11, 9, 3, 0, 2, 0x52, 4, 0, 2, 0x50, 13, 0, 6, 0, 2, 0x11][..], &[12, 0, 2, 0x31]];
    put_all("data_transfer", "pulls", &pulls.concat());
    // One that pushes, and is asked for a last voucher.
    put("data_transfer", "pushes", [2, 1, 1, 1, 2, 0x01, 9, 9, 10, 9, 12, 0, 2, 0x3b, 7, 0, 2, 0x31, 6, 0]);
    // A responder that waits, decides, is given a voucher as a program writes it, and wants a last one.
    let voucher = message("1.1 voucher");
    let responds =
        [&[7, 0x07, 1, 0x85, 8, 0x05, 0, voucher.len() as u8][..], &voucher, &[8, 0x0d, 12, 0, 1, 4, 8, 1, 1, 0x13]];
    put_all("data_transfer", "responds", &responds.concat());
    // One that is pushed to, and refuses a restart.
    put("data_transfer", "refuses", [3, 1, 0, 1, 11, 1, 13, 0, 6, 0, 1, 1, 1, 7, 15, 0]);
    put("data_transfer", "events", [&[3, 1, 1, 1][..], &[1, 4].repeat(300)].concat());

    let voucher = Typed { name: "Fake/1".to_owned(), value: Ipld::Integer(7) };
    let root = *Block::new(HashKind::Sha256, Codec::Raw, b"hello".to_vec()).unwrap().cid();
    let opening = Opening { root, selector: Selector::everything().to_ipld(), is_pull: true, voucher: Some(voucher) };
    let id = ChannelId { initiator: vec![0, 0xff], responder: vec![1, 0xff], id: 7 };
    let (channel, _) = Channel::open(id, opening);
    // What happens to it then is what happens to the one that pulls.
    put_all("data_transfer", "saved", &[&[1][..], &channel.to_bytes(), &pulls.concat()[1..]].concat());
}
