//! Random moments for faults.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Random moments, from a seed that is printed and can be given again as `BELAY_FAULTS_SEED`.
#[expect(clippy::print_stdout, reason = "who repeats a test needs its seed")]
pub fn moments(what: &str) -> StdRng {
    let seed = std::env::var("BELAY_FAULTS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("{what}: BELAY_FAULTS_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Lets a random time pass: the moment of the fault is the point, so there is no condition to wait for.
pub async fn until_a_moment(random: &mut StdRng, within: Duration) {
    tokio::time::sleep(random.random_range(Duration::ZERO..=within)).await;
}
