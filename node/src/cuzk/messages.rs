//! The messages of `cuzk.v1`, as protobuf has them. Source: `spec/attach.md` A.2.

#![allow(missing_docs, reason = "the names are those of the wire, and the source explains them")]

use prost::{Enumeration, Message};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum ProofKind {
    Unspecified = 0,
    PorepSealCommit = 1,
    SnapDealsUpdate = 2,
    WindowPostPartition = 3,
    WinningPost = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum Status {
    Unknown = 0,
    Completed = 1,
    Failed = 2,
    Cancelled = 3,
    Timeout = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Enumeration)]
#[repr(i32)]
pub enum Tier {
    Hot = 0,
    Warm = 1,
    Cold = 2,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubmitProofRequest {
    #[prost(string, tag = "1")]
    pub request_id: String,
    #[prost(int32, tag = "2")]
    pub proof_kind: i32,
    #[prost(uint64, tag = "3")]
    pub sector_size: u64,
    #[prost(uint64, tag = "4")]
    pub registered_proof: u64,
    #[prost(int32, tag = "5")]
    pub priority: i32,
    #[prost(bytes = "vec", tag = "10")]
    pub vanilla_proof: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub vanilla_proofs: Vec<Vec<u8>>,
    #[prost(uint64, tag = "20")]
    pub sector_number: u64,
    #[prost(uint64, tag = "21")]
    pub miner_id: u64,
    #[prost(bytes = "vec", tag = "22")]
    pub randomness: Vec<u8>,
    #[prost(uint32, tag = "23")]
    pub partition_index: u32,
    #[prost(bytes = "vec", tag = "30")]
    pub comm_r_old: Vec<u8>,
    #[prost(bytes = "vec", tag = "31")]
    pub comm_r_new: Vec<u8>,
    #[prost(bytes = "vec", tag = "32")]
    pub comm_d_new: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubmitProofResponse {
    #[prost(string, tag = "1")]
    pub job_id: String,
    #[prost(uint32, tag = "2")]
    pub queue_position: u32,
    #[prost(string, tag = "3")]
    pub assigned_gpu: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct AwaitProofRequest {
    #[prost(string, tag = "1")]
    pub job_id: String,
    #[prost(uint64, tag = "2")]
    pub timeout_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct AwaitProofResponse {
    #[prost(string, tag = "1")]
    pub job_id: String,
    #[prost(enumeration = "Status", tag = "2")]
    pub status: i32,
    #[prost(bytes = "vec", tag = "3")]
    pub proof: Vec<u8>,
    #[prost(string, tag = "4")]
    pub error_message: String,
    #[prost(uint64, tag = "10")]
    pub queue_wait_ms: u64,
    #[prost(uint64, tag = "11")]
    pub srs_load_ms: u64,
    #[prost(uint64, tag = "12")]
    pub synthesis_ms: u64,
    #[prost(uint64, tag = "13")]
    pub gpu_compute_ms: u64,
    #[prost(uint64, tag = "14")]
    pub total_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ProveRequest {
    #[prost(message, optional, tag = "1")]
    pub submit: Option<SubmitProofRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ProveResponse {
    #[prost(message, optional, tag = "1")]
    pub result: Option<AwaitProofResponse>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CancelProofRequest {
    #[prost(string, tag = "1")]
    pub job_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct CancelProofResponse {
    #[prost(bool, tag = "1")]
    pub was_running: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetStatusRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct GetStatusResponse {
    #[prost(message, repeated, tag = "1")]
    pub gpus: Vec<GpuStatus>,
    #[prost(message, repeated, tag = "2")]
    pub loaded_srs: Vec<SrsStatus>,
    #[prost(message, repeated, tag = "3")]
    pub queues: Vec<QueueStatus>,
    #[prost(uint64, tag = "4")]
    pub total_proofs_completed: u64,
    #[prost(uint64, tag = "5")]
    pub total_proofs_failed: u64,
    #[prost(uint64, tag = "6")]
    pub uptime_seconds: u64,
    #[prost(uint64, tag = "7")]
    pub pinned_memory_bytes: u64,
    #[prost(uint64, tag = "8")]
    pub pinned_memory_limit_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct GpuStatus {
    #[prost(uint32, tag = "1")]
    pub ordinal: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(uint64, tag = "3")]
    pub vram_total_bytes: u64,
    #[prost(uint64, tag = "4")]
    pub vram_free_bytes: u64,
    #[prost(string, tag = "5")]
    pub current_job_id: String,
    #[prost(string, tag = "6")]
    pub current_proof_kind: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SrsStatus {
    #[prost(string, tag = "1")]
    pub circuit_id: String,
    #[prost(enumeration = "Tier", tag = "2")]
    pub tier: i32,
    #[prost(uint64, tag = "3")]
    pub size_bytes: u64,
    #[prost(uint32, tag = "4")]
    pub ref_count: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct QueueStatus {
    #[prost(string, tag = "1")]
    pub proof_kind: String,
    #[prost(uint32, tag = "2")]
    pub pending: u32,
    #[prost(uint32, tag = "3")]
    pub in_progress: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct PreloadSrsRequest {
    #[prost(string, tag = "1")]
    pub circuit_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PreloadSrsResponse {
    #[prost(bool, tag = "1")]
    pub already_loaded: bool,
    #[prost(uint64, tag = "2")]
    pub load_time_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct EvictSrsRequest {
    #[prost(string, tag = "1")]
    pub circuit_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct EvictSrsResponse {
    #[prost(bool, tag = "1")]
    pub was_loaded: bool,
    #[prost(uint64, tag = "2")]
    pub freed_bytes: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct GetMetricsResponse {
    #[prost(string, tag = "1")]
    pub prometheus_text: String,
}
