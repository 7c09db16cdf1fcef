//! The states of actors v0, as lists of their fields. What nothing here reads stands as it is.
//!
//! Source: `spec/chain.md` 7.3.

use filecash_ipld::{Cid, Ipld};

use crate::address::Address;
use crate::amount::Amount;
use crate::object::tuple;

/// A value that is smoothed over time: fixed point, 128 bits behind the point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Smoothed {
    pub position: Amount,
    pub velocity: Amount,
}
tuple!(Smoothed { position, velocity });

/// Of the actor that gives numbers to addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct InitState {
    /// HAMT from address to number.
    pub address_map: Cid,
    pub next_id: u64,
    pub network_name: String,
}
tuple!(InitState { address_map, next_id, network_name });

/// Of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct AccountState {
    /// Its key.
    pub address: Address,
}
tuple!(AccountState { address });

/// Of the actor that others are woken by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct CronState {
    pub entries: Vec<CronEntry>,
}
tuple!(CronState { entries });

/// Who is woken, and by which method.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct CronEntry {
    pub receiver: Address,
    pub method: u64,
}
tuple!(CronEntry { receiver, method });

/// Of the actor that mints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct RewardState {
    pub cumulative_baseline: Amount,
    pub cumulative_realized: Amount,
    pub effective_network_time: i64,
    pub effective_baseline_power: Amount,
    pub this_epoch_reward: Amount,
    pub this_epoch_reward_smoothed: Smoothed,
    pub this_epoch_baseline_power: Amount,
    pub epoch: i64,
    pub total_mined: Amount,
}
tuple!(RewardState {
    cumulative_baseline,
    cumulative_realized,
    effective_network_time,
    effective_baseline_power,
    this_epoch_reward,
    this_epoch_reward_smoothed,
    this_epoch_baseline_power,
    epoch,
    total_mined,
});

/// Of the actor that knows miners' power.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct PowerState {
    pub total_raw: Amount,
    pub total_raw_committed: Amount,
    pub total_quality_adjusted: Amount,
    pub total_quality_adjusted_committed: Amount,
    pub total_pledge: Amount,
    pub this_epoch_raw: Amount,
    pub this_epoch_quality_adjusted: Amount,
    pub this_epoch_pledge: Amount,
    pub this_epoch_smoothed: Smoothed,
    pub miner_count: i64,
    pub miners_above_minimum: i64,
    pub cron_queue: Cid,
    pub first_cron_epoch: i64,
    pub last_processed_cron_epoch: i64,
    /// HAMT from miner to [`Claim`].
    pub claims: Cid,
    pub proof_batch: Option<Cid>,
}
tuple!(PowerState {
    total_raw,
    total_raw_committed,
    total_quality_adjusted,
    total_quality_adjusted_committed,
    total_pledge,
    this_epoch_raw,
    this_epoch_quality_adjusted,
    this_epoch_pledge,
    this_epoch_smoothed,
    miner_count,
    miners_above_minimum,
    cron_queue,
    first_cron_epoch,
    last_processed_cron_epoch,
    claims,
    proof_batch,
});

/// A miner's power.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Claim {
    pub raw: Amount,
    pub quality_adjusted: Amount,
}
tuple!(Claim { raw, quality_adjusted });

/// Of the actor that has deals.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct MarketState {
    /// AMT of [`DealProposal`].
    pub proposals: Cid,
    /// AMT of [`DealState`].
    pub states: Cid,
    pub pending_proposals: Cid,
    pub escrow: Cid,
    pub locked: Cid,
    pub next_id: u64,
    pub deals_by_epoch: Cid,
    pub last_cron: i64,
    pub client_locked_collateral: Amount,
    pub provider_locked_collateral: Amount,
    pub client_storage_fee: Amount,
}
tuple!(MarketState {
    proposals,
    states,
    pending_proposals,
    escrow,
    locked,
    next_id,
    deals_by_epoch,
    last_cron,
    client_locked_collateral,
    provider_locked_collateral,
    client_storage_fee,
});

/// What a client and a provider agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct DealProposal {
    pub piece: Cid,
    /// Padded.
    pub piece_bytes: u64,
    pub verified: bool,
    pub client: Address,
    pub provider: Address,
    pub label: String,
    pub start_epoch: i64,
    pub end_epoch: i64,
    pub price_per_epoch: Amount,
    pub provider_collateral: Amount,
    pub client_collateral: Amount,
}
tuple!(DealProposal {
    piece,
    piece_bytes,
    verified,
    client,
    provider,
    label,
    start_epoch,
    end_epoch,
    price_per_epoch,
    provider_collateral,
    client_collateral,
});

/// What became of a deal; −1 stands for what did not happen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct DealState {
    pub sector_start_epoch: i64,
    pub last_updated_epoch: i64,
    pub slash_epoch: i64,
}
tuple!(DealState { sector_start_epoch, last_updated_epoch, slash_epoch });

/// Of a miner.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct MinerState {
    /// A [`MinerInfo`].
    pub info: Cid,
    pub precommit_deposits: Amount,
    pub locked_funds: Amount,
    pub vesting_funds: Cid,
    pub initial_pledge: Amount,
    pub precommitted_sectors: Cid,
    pub precommitted_expiry: Cid,
    pub allocated_sectors: Cid,
    /// AMT of [`Sector`].
    pub sectors: Cid,
    pub proving_period_start: i64,
    pub current_deadline: u64,
    /// A [`Deadlines`].
    pub deadlines: Cid,
    pub early_terminations: Ipld,
}
tuple!(MinerState {
    info,
    precommit_deposits,
    locked_funds,
    vesting_funds,
    initial_pledge,
    precommitted_sectors,
    precommitted_expiry,
    allocated_sectors,
    sectors,
    proving_period_start,
    current_deadline,
    deadlines,
    early_terminations,
});

/// Who a miner is.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct MinerInfo {
    pub owner: Address,
    pub worker: Address,
    /// Null or a list.
    pub control_addresses: Ipld,
    pub pending_worker_key: Ipld,
    pub peer: Vec<u8>,
    /// Null or a list.
    pub multiaddrs: Ipld,
    /// The registered number, which means what the network says.
    pub seal_proof: i64,
    pub sector_bytes: u64,
    pub partition_sectors: u64,
}
tuple!(MinerInfo {
    owner,
    worker,
    control_addresses,
    pending_worker_key,
    peer,
    multiaddrs,
    seal_proof,
    sector_bytes,
    partition_sectors,
});

/// A miner's deadlines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Deadlines {
    /// Each a [`Deadline`].
    pub due: Vec<Cid>,
}
tuple!(Deadlines { due });

/// When some of a miner's sectors are proven.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Deadline {
    pub partitions: Cid,
    pub expirations: Cid,
    pub post_submissions: Ipld,
    pub early_terminations: Ipld,
    pub live_sectors: u64,
    pub total_sectors: u64,
    pub faulty_power: Claim,
}
tuple!(Deadline {
    partitions,
    expirations,
    post_submissions,
    early_terminations,
    live_sectors,
    total_sectors,
    faulty_power,
});

/// A sector that is proven to be sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct Sector {
    pub number: u64,
    pub seal_proof: i64,
    pub sealed: Cid,
    pub deals: Vec<u64>,
    pub activation: i64,
    pub expiration: i64,
    pub deal_weight: Amount,
    pub verified_deal_weight: Amount,
    pub initial_pledge: Amount,
    pub expected_day_reward: Amount,
    pub expected_storage_pledge: Amount,
}
tuple!(Sector {
    number,
    seal_proof,
    sealed,
    deals,
    activation,
    expiration,
    deal_weight,
    verified_deal_weight,
    initial_pledge,
    expected_day_reward,
    expected_storage_pledge,
});

/// Of an account of several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the docs")]
pub struct MultisigState {
    pub signers: Vec<Address>,
    pub threshold: u64,
    pub next_transaction: i64,
    pub initial_balance: Amount,
    pub start_epoch: i64,
    pub unlock_duration: i64,
    pub pending: Cid,
}
tuple!(MultisigState { signers, threshold, next_transaction, initial_balance, start_epoch, unlock_duration, pending });
