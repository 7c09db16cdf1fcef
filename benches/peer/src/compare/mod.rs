//! Side-by-side measurements of our program and the reference.
//!
//! Each measure runs both programs in turn (ours, reference, ours, reference, ...), each run a process of its own on
//! a fresh copy of the same inputs, so that a change of the machine's load or clock meets both. CPU time and largest
//! resident set come from `wait4`. Kernels run in this process instead, on operands in memory. A ratio is reference ÷
//! ours of the medians.

mod files;
mod kernels;
pub mod machine;
mod many;
pub mod measures;
mod phases;
pub mod post;
pub mod program;
mod sectors;
mod shapes;
pub mod synth;
pub mod table;
mod updates;
