//! Judging measured numbers.

pub mod threshold;
