//! The thin node around the storage-proof engine: today its settings and plans, later networking, deals and jobs.

pub mod config;
pub mod plan;
pub mod size;
