//! What a genesis says: who has what, who mines with which power, and what was agreed on.
//!
//! Everything is read from the block's header and from its state, nothing is computed but sums.
//!
//! Source: `spec/chain.md` 10.

use filecash_ipld::Cid;
use filecash_ipld::store::BlockStore;
use serde::Serialize;

use crate::address::Address;
use crate::amount::Amount;
use crate::header::{BeaconEntry, BlockHeader};
use crate::object::Object;
use crate::read::{ReadError, read};
use crate::state::actors::{
    Claim, CronEntry, CronState, Deadline, Deadlines, DealProposal, InitState, MarketState, MinerInfo, MinerState,
    MultisigState, PowerState, RewardState, Sector, Smoothed,
};
use crate::state::{CRON, INIT, MARKET, POWER, REWARD, StateError, StateTree};
use crate::{amt, hamt};

/// The most actors, deals, or sectors of a miner that are read.
pub const MAX_ENTRIES: usize = 1 << 17;

/// A genesis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Genesis {
    pub network_name: String,
    pub header: Header,
    pub actors: Vec<ActorFacts>,
    /// Of all actors.
    pub total_balance: Amount,
    pub accounts: Vec<Account>,
    pub multisigs: Vec<Multisig>,
    pub miners: Vec<Miner>,
    pub power: Power,
    pub reward: Reward,
    pub deals: Deals,
    pub cron: Vec<Wake>,
    /// The number of the next actor.
    pub next_id: u64,
    /// Addresses that have numbers.
    pub mapped_addresses: usize,
}

/// The block itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Header {
    pub cid: String,
    pub bytes: usize,
    /// Seconds of Unix.
    pub timestamp: u64,
    pub state_root: String,
    pub receipts: String,
    pub messages: String,
    pub parents: Vec<String>,
    pub beacon_rounds: Vec<u64>,
    pub win_count: Option<i64>,
    pub is_signed: bool,
    pub base_fee: Amount,
}

/// An actor.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct ActorFacts {
    pub address: Address,
    pub kind: String,
    pub nonce: u64,
    pub balance: Amount,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Account {
    pub address: Address,
    pub key: Address,
}

/// An account of several, whose balance may come free with time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Multisig {
    pub address: Address,
    pub signers: Vec<Address>,
    /// How many of them have to sign.
    pub threshold: u64,
    pub initial_balance: Amount,
    pub start_epoch: i64,
    pub unlock_epochs: i64,
}

/// A miner.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Miner {
    pub address: Address,
    pub owner: Address,
    pub worker: Address,
    pub seal_proof: i64,
    pub sector_bytes: u64,
    pub partition_sectors: u64,
    pub raw_power: Amount,
    pub quality_adjusted_power: Amount,
    pub initial_pledge: Amount,
    pub proving_period_start: i64,
    /// Live sectors of each deadline that has any.
    pub deadlines: Vec<(usize, u64)>,
    pub sectors: Vec<SectorFacts>,
}

/// A sector.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct SectorFacts {
    pub number: u64,
    pub seal_proof: i64,
    pub sealed: String,
    pub deals: Vec<u64>,
    pub activation: i64,
    pub expiration: i64,
    pub initial_pledge: Amount,
    pub expected_day_reward: Amount,
    pub expected_storage_pledge: Amount,
}

/// The power of all miners, in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Power {
    pub raw: Amount,
    pub quality_adjusted: Amount,
    pub pledge: Amount,
    pub smoothed: Curve,
    pub miners: i64,
    pub miners_above_minimum: i64,
}

/// A smoothed value: whole numbers, what is behind the point left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Curve {
    pub position: Amount,
    pub velocity: Amount,
}

/// What is minted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Reward {
    pub this_epoch: Amount,
    pub baseline_power: Amount,
    pub effective_baseline_power: Amount,
    pub cumulative_baseline: Amount,
    pub cumulative_realized: Amount,
    pub epoch: i64,
    pub total_mined: Amount,
}

/// All deals together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Deals {
    pub count: usize,
    pub verified: usize,
    pub padded_bytes: u64,
    pub first_end_epoch: Option<i64>,
    pub last_end_epoch: Option<i64>,
}

/// Who is woken in each epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Wake {
    pub actor: Address,
    pub method: u64,
}

/// What a genesis says.
///
/// # Errors
/// [`StateError`].
pub fn of_genesis(store: &(impl BlockStore + ?Sized), genesis: &Cid) -> Result<Genesis, StateError> {
    let header: BlockHeader = read(store, genesis)?;
    let tree = StateTree::open(store, &header.parent_state_root)?;
    let init: InitState = tree.state(&INIT, "init")?;
    let cron: CronState = tree.state(&CRON, "cron")?;
    let mapped: Vec<(_, u64)> = hamt::entries(store, &init.address_map, MAX_ENTRIES)?;
    let (mut accounts, mut multisigs, mut miners) = (Vec::new(), Vec::new(), Vec::new());
    let power: PowerState = tree.state(&POWER, "storagepower")?;
    let actors = tree.actors(MAX_ENTRIES)?;
    for (id, actor) in &actors {
        let address = Address::Id(*id);
        match actor.kind() {
            "account" => accounts.push(Account { address, key: tree.key_of(&address)? }),
            "multisig" => multisigs.push(multisig(address, read(store, &actor.head)?)),
            "storageminer" => miners.push(miner(store, address, &read(store, &actor.head)?, &power)?),
            _ => {}
        }
    }
    let total_balance = Amount(actors.iter().map(|(_, actor)| &actor.balance.0).sum());
    let told = |(id, actor): (u64, crate::state::Actor)| ActorFacts {
        address: Address::Id(id),
        kind: actor.kind().to_owned(),
        nonce: actor.nonce,
        balance: actor.balance,
    };
    let wake = |CronEntry { receiver, method }| Wake { actor: receiver, method };
    Ok(Genesis {
        network_name: init.network_name,
        header: head(genesis, &header),
        actors: actors.into_iter().map(told).collect(),
        total_balance,
        accounts,
        multisigs,
        miners,
        power: power_of(power),
        reward: reward(tree.state(&REWARD, "reward")?),
        deals: deals(store, &tree.state(&MARKET, "storagemarket")?)?,
        cron: cron.entries.into_iter().map(wake).collect(),
        next_id: init.next_id,
        mapped_addresses: mapped.len(),
    })
}

fn head(cid: &Cid, header: &BlockHeader) -> Header {
    Header {
        cid: cid.to_string(),
        bytes: header.encode().len(),
        timestamp: header.timestamp,
        state_root: header.parent_state_root.to_string(),
        receipts: header.parent_receipts.to_string(),
        messages: header.messages.to_string(),
        parents: header.parents.iter().map(Cid::to_string).collect(),
        beacon_rounds: header.beacon_entries.iter().map(|BeaconEntry { round, .. }| *round).collect(),
        win_count: header.election_proof.as_ref().map(|proof| proof.win_count),
        is_signed: header.signature.is_some() || header.bls_aggregate.is_some(),
        base_fee: header.parent_base_fee.clone(),
    }
}

fn multisig(address: Address, state: MultisigState) -> Multisig {
    let MultisigState { signers, threshold, initial_balance, start_epoch, unlock_duration, .. } = state;
    Multisig { address, signers, threshold, initial_balance, start_epoch, unlock_epochs: unlock_duration }
}

fn miner(
    store: &(impl BlockStore + ?Sized),
    address: Address,
    state: &MinerState,
    power: &PowerState,
) -> Result<Miner, ReadError> {
    let info: MinerInfo = read(store, &state.info)?;
    let claim: Option<Claim> = hamt::get(store, &power.claims, &address.to_bytes())?;
    let (raw_power, quality_adjusted_power) =
        claim.map_or_else(Default::default, |claim| (claim.raw, claim.quality_adjusted));
    let due = read::<Deadlines>(store, &state.deadlines)?.due;
    let mut deadlines = Vec::new();
    for (index, deadline) in due.iter().enumerate() {
        let Deadline { live_sectors, .. } = read(store, deadline)?;
        if live_sectors > 0 {
            deadlines.push((index, live_sectors));
        }
    }
    let sectors: Vec<(u64, Sector)> = amt::entries(store, &state.sectors, MAX_ENTRIES)?;
    Ok(Miner {
        address,
        owner: info.owner,
        worker: info.worker,
        seal_proof: info.seal_proof,
        sector_bytes: info.sector_bytes,
        partition_sectors: info.partition_sectors,
        raw_power,
        quality_adjusted_power,
        initial_pledge: state.initial_pledge.clone(),
        proving_period_start: state.proving_period_start,
        deadlines,
        sectors: sectors.into_iter().map(|(_, sector)| sector_facts(sector)).collect(),
    })
}

fn sector_facts(sector: Sector) -> SectorFacts {
    SectorFacts {
        number: sector.number,
        seal_proof: sector.seal_proof,
        sealed: sector.sealed.to_string(),
        deals: sector.deals,
        activation: sector.activation,
        expiration: sector.expiration,
        initial_pledge: sector.initial_pledge,
        expected_day_reward: sector.expected_day_reward,
        expected_storage_pledge: sector.expected_storage_pledge,
    }
}

fn power_of(state: PowerState) -> Power {
    Power {
        raw: state.total_raw,
        quality_adjusted: state.total_quality_adjusted,
        pledge: state.total_pledge,
        smoothed: curve(state.this_epoch_smoothed),
        miners: state.miner_count,
        miners_above_minimum: state.miners_above_minimum,
    }
}

fn curve(Smoothed { position, velocity }: Smoothed) -> Curve {
    Curve { position: Amount(position.0 >> 128), velocity: Amount(velocity.0 >> 128) }
}

fn reward(state: RewardState) -> Reward {
    Reward {
        this_epoch: state.this_epoch_reward,
        baseline_power: state.this_epoch_baseline_power,
        effective_baseline_power: state.effective_baseline_power,
        cumulative_baseline: state.cumulative_baseline,
        cumulative_realized: state.cumulative_realized,
        epoch: state.epoch,
        total_mined: state.total_mined,
    }
}

fn deals(store: &(impl BlockStore + ?Sized), state: &MarketState) -> Result<Deals, ReadError> {
    let deals: Vec<(u64, DealProposal)> = amt::entries(store, &state.proposals, MAX_ENTRIES)?;
    let ends = || deals.iter().map(|(_, deal)| deal.end_epoch);
    Ok(Deals {
        count: deals.len(),
        verified: deals.iter().filter(|(_, deal)| deal.verified).count(),
        padded_bytes: deals.iter().fold(0, |sum, (_, deal)| sum.saturating_add(deal.piece_bytes)),
        first_end_epoch: ends().min(),
        last_end_epoch: ends().max(),
    })
}
