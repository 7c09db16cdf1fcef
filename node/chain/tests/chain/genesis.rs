//! The genesis of Filecash, and that of Filecoin, against what `spec/chain.md` 10 and 14 say of them.

use std::collections::HashMap;

use filecash_chain::chain::ChainStore;
use filecash_chain::check::Rules;
use filecash_chain::facts::{ActorFacts, Genesis, of_genesis};
use filecash_chain::{Address, Amount, BlockHeader, Object};
use filecash_ipld::codec::dag_cbor;
use filecash_ipld::hash::HashKind;

const GENESIS: &str = "bafy2bzacebv44sziogylsebfeoz3jsp3kr5glbsyjsmeys45yxkm7u6k7xooc";
const GREETING: &str = "bafyreicp5uqyqbdn6jy7gnmidxn4ynr7beojipkgjjnqdgnwjv7bxjsqsq";
const GIB: u64 = 1 << 30;

fn filecash() -> Genesis {
    let (root, store) = crate::support::stored("filecash-genesis.car");
    of_genesis(&store, &root).unwrap()
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn actor(genesis: &Genesis, id: u64) -> &ActorFacts {
    genesis.actors.iter().find(|actor| actor.address == Address::Id(id)).unwrap()
}

#[test]
fn all_objects_of_the_genesis_are_written_as_they_were_read() {
    let (root, blocks) = crate::support::car("filecash-genesis.car");
    assert_eq!((root.to_string().as_str(), blocks.len()), (GENESIS, 256));
    assert_eq!(blocks.iter().map(|block| block.bytes().len()).sum::<usize>(), 79_367);
    let mut kinds = HashMap::new();
    for block in &blocks {
        *kinds.entry(block.cid().hash().code()).or_insert(0) += 1;
        let value = match dag_cbor::decode(block.bytes()) {
            Ok(value) => value,
            // The greeting that stands for the parent is no dag-cbor, though it is called that.
            Err(_) => {
                assert_eq!((block.cid().to_string().as_str(), block.bytes().len()), (GREETING, 201));
                continue;
            }
        };
        assert_eq!(value.cid(), *block.cid());
    }
    assert_eq!(kinds, HashMap::from([(HashKind::Blake2b256.code(), 255), (HashKind::Sha256.code(), 1)]));
}

#[test]
fn header_of_the_genesis_is_that_of_the_specification() {
    let (root, store) = crate::support::stored("filecash-genesis.car");
    let header: BlockHeader = filecash_chain::read::read(&store, &root).unwrap();
    assert_eq!((header.cid(), header.miner), (root, Address::Id(0)));
    let election = header.election_proof.as_ref().unwrap();
    assert_eq!((election.win_count, election.vrf_proof.len()), (0, 0));
    let [entry] = &header.beacon_entries[..] else { panic!() };
    assert_eq!((entry.round, &entry.data[..]), (0, &[0; 32][..]));
    assert_eq!((&header.bls_aggregate, &header.signature), (&None, &None));
    let told = filecash().header;
    assert_eq!((told.cid.as_str(), told.bytes, told.timestamp), (GENESIS, 267, 1_603_934_700));
    assert_eq!(told.state_root, "bafy2bzaceccpj5kwbdyk4uycunbgt5bsur76caczk3blqymesa65ksbmbvi46");
    assert_eq!(told.receipts, "bafy2bzacedswlcz5ddgqnyo3sak3jmhmkxashisnlpq6ujgyhe4mlobzpnhs6");
    assert_eq!(told.messages, "bafy2bzacecmda75ovposbdateg7eyhwij65zklgyijgcjwynlklmqazpwlhba");
    assert_eq!(told.parents, [GREETING]);
    assert_eq!((told.beacon_rounds, told.win_count, told.is_signed), (vec![0], Some(0), false));
    assert_eq!(told.base_fee, Amount::from(100_000_000));
    // The chain that is nothing but it.
    let chain = ChainStore::new(store, root, Rules::MAINNET);
    let tipsets = chain.walk(&[root]).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!((tipsets.len(), tipsets[0].key(), chain.executed(&tipsets[0]).unwrap()), (1, vec![root], vec![]));
}

#[test]
fn actors_of_the_genesis_have_all_coins() {
    let genesis = filecash();
    assert_eq!(genesis.network_name, "localnet-adfce032-8656-48c1-8669-db3d1d1807ef");
    assert_eq!((genesis.actors.len(), &genesis.total_balance), (55, &Amount::of_coins(2_000_000_000)));
    for (id, kind, coins) in [
        (2, "reward", "1100000000"),
        (90, "multisig", "595999900.2"),
        (137, "multisig", "191666666.6"),
        (138, "multisig", "50000000"),
        (139, "multisig", "50000000"),
        (136, "multisig", "8333333.2"),
        (131, "account", "1250000"),
        (132, "account", "1250000"),
        (140, "multisig", "100"),
    ] {
        let actor = actor(&genesis, id);
        assert_eq!((actor.kind.as_str(), actor.balance.to_coins().as_str()), (kind, coins), "f0{id}");
    }
    for place in 0..3 {
        let (owner, miner) = (actor(&genesis, 100 + place), actor(&genesis, 1000 + place));
        assert_eq!((owner.kind.as_str(), miner.kind.as_str()), ("account", "storageminer"));
        assert!(owner.balance.to_coins().starts_with("493466.80"), "{}", owner.balance.to_coins());
        assert!(miner.balance.to_coins().starts_with("6533.198702438"), "{}", miner.balance.to_coins());
    }
    assert_eq!((genesis.next_id, genesis.mapped_addresses), (1003, 39));
    let cron: Vec<_> = genesis.cron.iter().map(|wake| (wake.actor, wake.method)).collect();
    assert_eq!(cron, [(Address::Id(4), 5), (Address::Id(5), 9)]);
}

#[test]
fn multisigs_of_the_genesis_come_free_as_the_specification_has_it() {
    let genesis = filecash();
    let multisig = |id| genesis.multisigs.iter().find(|multisig| multisig.address == Address::Id(id)).unwrap();
    assert_eq!((multisig(90).threshold, multisig(90).signers.len()), (2, 4));
    for (id, start, epochs) in
        [(137, 135_360, 2_102_400), (138, 54_720, 6_307_200), (139, 54_720, 3_153_600), (136, 54_720, 8_640)]
    {
        assert_eq!((multisig(id).start_epoch, multisig(id).unlock_epochs), (start, epochs), "f0{id}");
        assert_eq!(multisig(id).initial_balance, actor(&genesis, id).balance);
    }
}

#[test]
fn miners_of_the_genesis_have_their_sectors_and_power() {
    let genesis = filecash();
    assert_eq!(genesis.miners.len(), 3);
    let mut pledge = Amount::zero();
    for (place, miner) in genesis.miners.iter().enumerate() {
        let id = place as u64;
        assert_eq!(miner.address, Address::Id(1000 + id));
        assert_eq!((miner.owner, miner.worker), (Address::Id(100 + id), Address::Id(100 + id)));
        let account = genesis.accounts.iter().find(|account| account.address == miner.worker).unwrap();
        assert!(matches!(account.key, Address::Bls(_)));
        assert_eq!((miner.seal_proof, miner.sector_bytes, miner.partition_sectors), (5, 4 * GIB, 600));
        assert_eq!((&miner.deadlines[..], miner.sectors.len()), (&[(0, 60)][..], 60));
        assert_eq!(miner.raw_power, Amount::from(60 * 4 * GIB));
        assert_eq!(miner.quality_adjusted_power, Amount::from(600 * 4 * GIB));
        for sector in &miner.sectors {
            assert_eq!((sector.seal_proof, sector.deals.len()), (5, 1));
            assert_eq!(sector.expected_day_reward, amount("101358111788401274989"));
            assert_eq!(sector.expected_storage_pledge, amount("107636645060255767975"));
            assert_eq!(sector.initial_pledge, amount("1249999980383436800"));
            pledge.0 += &sector.initial_pledge.0;
        }
    }
    let starts: Vec<_> = genesis.miners.iter().map(|miner| miner.proving_period_start).collect();
    assert_eq!(starts, [658, 154, 1360]);
    let power = &genesis.power;
    assert_eq!((&power.raw, &power.quality_adjusted), (&amount("773094113280"), &amount("7730941132800")));
    assert_eq!((&power.pledge, &pledge), (&amount("224999996469018624000"), &amount("224999996469018624000")));
    assert_eq!(
        (&power.smoothed.position, &power.smoothed.velocity),
        (&amount("8053063680000"), &amount("42949672960"))
    );
    assert_eq!((power.miners, power.miners_above_minimum), (3, 3));
}

#[test]
fn deals_and_rewards_of_the_genesis_are_those_of_the_specification() {
    let genesis = filecash();
    let deals = &genesis.deals;
    assert_eq!((deals.count, deals.verified, deals.padded_bytes), (180, 180, 180 * 4 * GIB));
    assert_eq!((deals.first_end_epoch, deals.last_end_epoch), (Some(1_552_473), Some(1_553_679)));
    let reward = &genesis.reward;
    assert_eq!(reward.this_epoch, amount("36266831723075579778"));
    assert_eq!(reward.baseline_power, amount("1152921504606846975"));
    assert_eq!(reward.effective_baseline_power, amount("1152922709529216365"));
    assert_eq!(reward.cumulative_baseline, amount("1152922709529216365"));
    assert_eq!(reward.cumulative_realized, amount("7730941132800"));
}

#[test]
fn description_of_a_genesis_is_json() {
    let json = serde_json::to_value(filecash()).unwrap();
    assert_eq!(json["total_balance"], "2000000000000000000000000000");
    assert_eq!((&json["actors"][0]["address"], &json["cron"][1]["actor"]), (&"f00".into(), &"f05".into()));
}
