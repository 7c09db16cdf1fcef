//! Wrong, damaged and foreign input to the public operations, and operations that are interrupted.
//!
//! Of every refusal three things are asked: that the error says which file and what was expected, once and not twice;
//! that no file is other than before; and that nothing is left over. [`support::Sandbox::refuses`] asks them.

#[cfg(test)]
mod aggregate;
#[cfg(test)]
mod commit;
#[cfg(test)]
mod features;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many;
#[cfg(test)]
mod params;
#[cfg(test)]
mod pieces;
#[cfg(test)]
mod post;
#[cfg(test)]
mod precommit;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod support;
#[cfg(test)]
mod unseal;
#[cfg(test)]
mod update;
