//! Judging measured numbers.
//!
//! Two ways: one number against one bound ([`threshold`]), and events of the canary against events of the stable pods, counted
//! as long as the candidate lives ([`ledger`] counts, [`evidence`] weighs). The mathematics with its sources is in
//! `docs/concepts/verification-statistics.md`.

pub mod burn_rate;
pub mod combine;
pub mod count;
pub mod dispersion;
pub mod evidence;
pub mod floor;
pub mod latency;
pub mod ledger;
pub mod mixture;
pub mod planning;
pub mod proportion;
pub mod ratio;
pub mod real;
pub mod threshold;

pub use count::Count;
pub use real::Real;
