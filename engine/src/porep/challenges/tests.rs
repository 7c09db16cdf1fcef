use hex::FromHex;

use super::*;
use crate::sector::{PoRepId, SealProof, params};

fn partition(profile: Profile, id: u32, k: usize) -> Vec<u64> {
    let config = SealProof::by_id(profile, id).unwrap().config();
    Challenges { config: &config, replica_id: &[0x11; 32], comm_r: &[0x22; 32], seed: &[0x44; 32] }
        .partition(k)
        .unwrap()
}

/// spec/replication.md 12.8, "Production sizes".
#[test]
fn production_sizes_match_reference() {
    let table = [
        (
            8,
            0,
            vec![
                1032735980, 218648003, 234851917, 132270257, 718680380, 298060584, 797142363, 367714086, 391791563,
                726729667, 49527653, 356619256, 213268960, 187906906, 113146826, 30085667, 389297681, 504473600,
            ],
        ),
        (
            8,
            9,
            vec![
                755083071, 929014228, 997547856, 1044090344, 11977578, 269306953, 140011900, 285222185, 67233307,
                195924562, 289185067, 1057637527, 983276784, 35614610, 589443303, 860523732, 976296444, 642362135,
            ],
        ),
        (
            13,
            0,
            vec![
                964143717, 30895651, 934091164, 602162335, 628712716, 679855827, 793966908, 805637379, 628937778,
                434867113, 22069481, 318140112, 108150060, 700181789, 1069921499, 628804715, 85162542, 36571725,
            ],
        ),
        (
            13,
            9,
            vec![
                60114120, 1059380265, 566336792, 1012170735, 25504649, 405807908, 55923161, 60967076, 73517503,
                216812637, 566008885, 407717767, 908033266, 858874688, 771444716, 756243968, 407778299, 1053765599,
            ],
        ),
        (
            18,
            0,
            vec![
                620884976, 679528435, 1020701283, 331690569, 487418391, 60937501, 98204560, 1031134748, 107733471,
                587199324, 315668318, 741778267, 214416848, 704057666, 643868054, 401128880, 398092976, 995946649,
            ],
        ),
        (
            18,
            9,
            vec![
                922624810, 423547167, 184739731, 481289204, 496817928, 314477474, 494630058, 886005243, 598176899,
                822771219, 166847031, 853099228, 560227375, 216914820, 925519113, 106553699, 667822830, 101280752,
            ],
        ),
        (
            18,
            125,
            vec![
                527098088, 361511398, 249232270, 407090726, 513102802, 343190363, 762483901, 164763959, 343864870,
                722765297, 559904245, 774435705, 734528647, 546639882, 112950042, 549985976, 891793243, 337345827,
            ],
        ),
        (
            9,
            0,
            vec![
                595984714, 1239367234, 543171918, 1407771984, 1003870120, 148103893, 1203045830, 1408812492,
                1840036148, 1012375288, 1104628171, 1320467943, 1773595566, 1349714981, 1825948182, 990006706,
                1033990671, 344205373,
            ],
        ),
        (
            9,
            9,
            vec![
                1014013403, 280015619, 61617988, 1413158685, 1392607836, 1047647420, 1664713282, 2125322823, 53980719,
                1725661055, 291214181, 2085401326, 999178432, 817254541, 505638165, 989819639, 641019808, 1457042719,
            ],
        ),
        (
            14,
            0,
            vec![
                90186189, 124474056, 1524143817, 211282978, 1693574458, 694937703, 1245263456, 448689073, 1231575929,
                1657601167, 1914551642, 1607097977, 1146759397, 1143270617, 1726138302, 305213152, 1567416395,
                863287841,
            ],
        ),
        (
            14,
            9,
            vec![
                742049433, 1820293186, 2050166976, 687022625, 1623304971, 974170843, 1671669185, 1445605849, 562104945,
                1809230175, 1909097220, 1881922954, 1163737819, 1572615220, 177935053, 682594307, 1974863580,
                991465358,
            ],
        ),
        (
            19,
            0,
            vec![
                1596136474, 402277596, 764760821, 1577585815, 416943984, 1191235716, 1369809784, 722600161, 1277746307,
                1605614618, 550838727, 21443475, 1187865425, 1687916756, 1783592094, 1668854812, 2040318824,
                1907102079,
            ],
        ),
        (
            19,
            9,
            vec![
                1966344700, 7936708, 378094221, 1607370962, 1163269238, 1104219335, 2107785437, 447630512, 563434624,
                433773618, 1263024477, 1585294744, 843519270, 84213506, 1568075396, 788384929, 754104136, 359959524,
            ],
        ),
    ];
    for (id, k, expected) in table {
        assert_eq!(partition(Profile::Filecoin, id, k), expected, "{id} {k}");
    }
    let gib4 = [132251888, 103659675, 64262294, 94314649, 78504895, 64101019, 73497830];
    assert_eq!(partition(Profile::Filecash, 5, 9), gib4);
    let gib16 = [285808008, 95130977, 300619508, 464077129, 406687037, 343668574, 480643286, 448204748];
    assert_eq!(partition(Profile::Filecash, 6, 9), gib16);
}

/// spec/replication.md 12.8, "synthetic set" and "Selection indexes".
#[test]
fn synthetic_sets_of_production_sizes_match_reference() {
    let table = [
        (
            30,
            [605759503, 948312201, 98542100, 55644672, 481915454, 132258514, 1004321532, 673253502],
            [796935901, 700437698, 550304425, 490830225],
        ),
        (
            31,
            [117341107, 1118839039, 1454137196, 1371230804, 976991332, 782873813, 1052185947, 240415710],
            [2101572393, 2017026277, 296151544, 194155257],
        ),
    ];
    for (log2_nodes, first, last) in table {
        let set = SyntheticSet::new(&[0x11; 32], &[0x22; 32], 1 << log2_nodes);
        assert_eq!(set.len(), 1 << 18);
        assert_eq!(set.members(0..8), first);
        assert_eq!(set.members(set.len() - 4..set.len()), last);
        let selected = set.selected(&[0x11; 32], &[0x44; 32], 0..5);
        assert_eq!(selected, [217826, 111683, 250025, 181062, 121615]);
    }
}

/// spec/replication.md 12.8, "Synthetic, small".
#[test]
fn small_synthetic_set_matches_reference() {
    let number = |n: u8| std::array::from_fn(|i| if i == 0 { n } else { 0 });
    let (replica_id, comm_r, seed): (Node, Node, _) = (number(55), number(101), [1; 32]);
    let keystream = |key: [u8; 32], count| {
        let mut bytes = vec![0; count];
        stream(&key, 0).fill_bytes(&mut bytes);
        hex::encode(bytes)
    };
    let key = stream_key(GENERATION, &replica_id, &comm_r);
    assert_eq!(hex::encode(key), "481a1c7fbc8734972e7634209832407eb41e45114a4808b047e93ccf0d6fdff8");
    assert_eq!(
        keystream(key, 64),
        "c60a19f5478dc47ec8ed297d68c72bfb9eeaf18e330198b2167a60ec48e3c584\
         7f999b6343068dbf2b784315e43ded294d79bcd36725c8bdec25aacb3e5007fe"
    );
    let key = stream_key(SELECTION, &replica_id, &seed);
    assert_eq!(hex::encode(key), "8d738bdcb14f8805416980131d3624bd07ec07e7a0ca738e2d636ac1c78395e7");
    assert_eq!(keystream(key, 40), "c3dce1a75bb289e15e9264be0fc0347d17692279173423c750fb1c0eb84580e8f74eb77a5cda6df1");
    let set = SyntheticSet { len: 21, ..SyntheticSet::new(&replica_id, &comm_r, 1 << 10) };
    let members =
        [178, 297, 869, 211, 875, 477, 94, 781, 124, 332, 856, 801, 176, 692, 429, 691, 290, 204, 986, 210, 973];
    assert_eq!(set.members(0..21), members);
    let selected = set.selected(&replica_id, &seed, 0..10);
    let challenges: Vec<_> = selected.iter().map(|&member| set.member(member)).collect();
    assert_eq!(challenges, [176, 781, 801, 986, 290, 211, 692, 856, 986, 332]);
}

#[test]
fn streams_are_read_at_any_place() {
    let set = SyntheticSet::new(&[3; 32], &[4; 32], 1 << 30);
    let all = set.members(0..300);
    for start in [1, 2, 63, 64, 255] {
        assert_eq!(set.members(start..300), all[start as usize..], "{start}");
    }
    let all = set.selected(&[3; 32], &[5; 32], 0..180);
    for k in 0..10 {
        assert_eq!(set.selected(&[3; 32], &[5; 32], 18 * k..18 * k + 18), all[18 * k as usize..][..18], "{k}");
    }
    assert_eq!(SyntheticSet::new(&[3; 32], &[4; 32], 64).len(), 64);
}

/// spec/replication.md 12.7, "PoRep challenges per partition"; spec/filecash-profile.md 11.
#[test]
fn small_sectors_match_reference() {
    let of = |profile, size, replica_id: &str, seed: [u8; 32]| {
        let id = <[u8; 32]>::from_hex(replica_id).unwrap();
        let params = params::for_size(profile, size).unwrap();
        let config = PoRepConfig::interactive(params, profile, PoRepId::from_number(5), ApiVersion::V1_1_0);
        Challenges { config: &config, replica_id: &id, comm_r: &[7; 32], seed: &seed }.all().unwrap()
    };
    let filecoin = [
        (2 << 10, "35cd503a13f12d29748aa02793a91c91998719c63ca4696b5c5270b52e97fd2a", [4, 34]),
        (2 << 10, "1e08828febc41ac09939aa599416ec1a942d2e37c9b3e3ae902a636dbad96001", [7, 62]),
        (4 << 10, "612479eb3fbe2f05f669dd353f512e2f8fb170c073c325ef25f28f6a237c1705", [76, 104]),
        (16 << 10, "a89d1822ddb2720b326b668b75ad189a6167ef3139b242dc6166275d1e448631", [493, 27]),
        (32 << 10, "31577d5de5a677d68dc02371ca0b8488d1f380c3a210dcd6e564fd0955f55f19", [296, 158]),
        (8 << 20, "e9e86554f2deec0097006ffb48ca7283559ca9ae1dfcc30011870a717739372f", [50234, 247851]),
    ];
    for (size, replica_id, challenges) in filecoin {
        assert_eq!(of(Profile::Filecoin, size, replica_id, [2; 32]), [challenges], "{size}");
    }
    let seed = std::array::from_fn(|i| 0x20 + i as u8);
    let filecash = [
        ("e28b02505bcb16b73336145d0d57e82f2acaed30413f0adbf9f8a593c575620b", [40, 17]),
        ("a388a745cfb8e2819c1c9eb863724f1ce5baa3279cae4ed419d50195a865fb0a", [47, 12]),
    ];
    for (replica_id, challenges) in filecash {
        assert_eq!(of(Profile::Filecash, 2 << 10, replica_id, seed), [challenges]);
    }
}

#[test]
fn remainder_takes_all_256_bits() {
    assert_eq!(remainder(&[0xff; 32], 63), (pow2(256, 63) + 62) % 63);
    let mut top = [0; 32];
    top[31] = 0x80;
    assert_eq!(remainder(&top, 1_000_003), pow2(255, 1_000_003));
}

fn pow2(exponent: u32, modulus: u64) -> u64 {
    (0..exponent).fold(1, |power, _| 2 * power % modulus)
}

/// spec/replication.md 12.7, the runs of ids 10 and 15.
#[test]
fn small_sectors_of_both_features_match_reference() {
    let of = |id, replica_id: &str, comm_r: &str| {
        let [replica_id, comm_r] = [replica_id, comm_r].map(|text| <[u8; 32]>::from_hex(text).unwrap());
        let config = SealProof::by_id(Profile::Filecoin, id).unwrap().config();
        Challenges { config: &config, replica_id: &replica_id, comm_r: &comm_r, seed: &[2; 32] }.all().unwrap()
    };
    let synthetic = of(
        10,
        "9ea73971d79020aed866076ac924efd42eebe428f662d00f7e47bdb85418e535",
        "0559f56f3484e243dc86dcc78abff5a914221769b112ff2db77f474f7b314b2c",
    );
    assert_eq!(synthetic, [[17, 43]]);
    let non_interactive = of(
        15,
        "1bf1719a18a1c6ad75d33d8c59f175367cb44195f3eca3c58e3f9f29eedc0914",
        "6b737fd74942a3f97572a97f0a830b2e4cbb07c0c7e06c1ce8276dbafc228171",
    );
    let expected = [
        [60, 16],
        [15, 46],
        [62, 27],
        [54, 54],
        [46, 28],
        [20, 57],
        [6, 6],
        [44, 56],
        [55, 6],
        [22, 51],
        [26, 8],
        [43, 10],
        [34, 20],
    ];
    assert_eq!(non_interactive, expected);
}

#[test]
fn layouts_match_reference() {
    let of = |id| layout(&SealProof::by_id(Profile::Filecoin, id).unwrap().config()).unwrap();
    assert_eq!(
        [5, 8, 10, 13, 15, 16, 18, 19].map(of),
        [(1, 2), (10, 18), (1, 2), (10, 18), (13, 2), (13, 2), (126, 18), (126, 18)]
    );
}

#[test]
fn features_are_refused_where_there_are_none() {
    for feature in [Feature::Synthetic, Feature::NonInteractive] {
        let filecash = SealProof::by_id(Profile::Filecash, 7).unwrap().config();
        let version = ApiVersion::V1_2_0;
        let config = PoRepConfig { feature, api_version: version, ..filecash };
        let expected = ChallengeError::NotOnNetwork { profile: Profile::Filecash, feature };
        let all = |config| Challenges { config, replica_id: &[1; 32], comm_r: &[3; 32], seed: &[2; 32] }.all();
        assert_eq!(all(&config), Err(expected));
        assert_eq!(expected.to_string(), format!("filecash has no {feature} proofs of replication"));
        let filecoin = SealProof::by_id(Profile::Filecoin, 5).unwrap().config();
        let expected = ChallengeError::Version { feature, version: ApiVersion::V1_1_0 };
        assert_eq!(all(&PoRepConfig { feature, ..filecoin }), Err(expected));
    }
}
