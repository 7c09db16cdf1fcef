//! The thin node around the storage-proof engine: today its settings and plans, and how it gets published files; later networking, deals and jobs.

pub mod config;
pub mod fetch;
pub mod jobs;
pub mod plan;
pub mod size;
