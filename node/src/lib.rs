//! The thin node around the storage-proof engine: its settings and plans,
//! how it gets published files, its jobs and who does them; later networking and deals.

pub mod config;
pub mod cuzk;
pub mod fetch;
pub mod folder;
pub mod hex32;
pub mod http;
pub mod jobs;
pub mod lotus;
pub mod plan;
pub mod remote_c2;
pub mod remote_piece;
pub mod size;
pub mod web;
pub mod worker;
