//! What happened: pods, their requests and their errors.

use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Poisson};

/// How errors arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals {
    /// Requests a second of one pod.
    pub requests: f64,
    /// Share of them that fail.
    pub errors: f64,
    /// Errors that arrive together, on one pod.
    pub clump: f64,
}

/// One pod, from its first sample to its last.
#[derive(Clone, Debug, PartialEq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Second of the first sample, counted from the begin of the past.
    pub from: u32,
    /// Second after the last sample.
    pub until: u32,
    /// What it serves.
    pub arrivals: Arrivals,
}

/// A past: what each pod's counters were at each scrape.
#[derive(Clone, Debug)]
pub struct Past {
    /// Value of the label `service` of its series.
    pub service: String,
    /// Seconds from one scrape to the next.
    pub scrape_seconds: u32,
    /// The pods.
    pub pods: Vec<Pod>,
    /// What the random numbers begin with.
    pub seed: u64,
}

/// So many hours in seconds.
pub const fn hours(hours: u32) -> u32 {
    hours * 3600
}

/// So many minutes in seconds.
pub const fn minutes(minutes: u32) -> u32 {
    minutes * 60
}

/// One sample of a pod: the second, and its two counters. At its end there is one without counters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) second: u32,
    /// Requests that succeeded, and those that failed.
    pub(super) counters: Option<(f64, f64)>,
}

impl Past {
    /// The samples of one pod, which begins to count when it comes.
    pub(super) fn samples(&self, place: usize) -> Vec<Sample> {
        let Some(pod) = self.pods.get(place) else {
            return Vec::new();
        };
        let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(place as u64);
        let mut random = StdRng::seed_from_u64(seed);
        let step = self.scrape_seconds.max(1);
        let Arrivals {
            requests,
            errors,
            clump,
        } = pod.arrivals;
        let (mut good, mut bad) = (0.0, 0.0);
        let mut samples = Vec::new();
        let mut second = pod.from.next_multiple_of(step);
        while second < pod.until {
            let served = requests * f64::from(step);
            bad += clump * poisson(served * errors / clump, &mut random);
            good += poisson(served * (1.0 - errors), &mut random);
            samples.push(Sample {
                second,
                counters: Some((good, bad)),
            });
            second += step;
        }
        samples.push(Sample {
            second,
            counters: None,
        });
        samples
    }

    /// The last second of any pod.
    pub fn seconds(&self) -> u32 {
        self.pods.iter().map(|pod| pod.until).max().unwrap_or(0)
    }
}

fn poisson(mean: f64, random: &mut StdRng) -> f64 {
    // Nothing to expect is nothing to draw, and no distribution either.
    Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(random))
}
