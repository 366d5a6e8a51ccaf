//! A real Prometheus with a past that was made up: pods with raw counters, hours of them within seconds.
//!
//! Samples go in by OTLP, which takes the time of each from the request; nothing is scraped. Invariant: one seed makes one past, sample by sample.

mod model;
mod server;

pub use model::{Arrivals, Past, Pod, hours, minutes};
pub use server::Prometheus;
