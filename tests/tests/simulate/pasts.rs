//! The made-up past: what pods served, and what went wrong when.

use belay_tests::past::{Arrivals, Past, Pod, hours, minutes};

use crate::SEED;

fn pods(revision: &str, number: u32, from: u32, until: u32, arrivals: Arrivals) -> Vec<Pod> {
    (0..number)
        .map(|place| Pod {
            name: format!("web-{revision}-aaaa{place}"),
            from,
            until,
            arrivals,
        })
        .collect()
}

/// Fourteen hours of ten pods, with two good versions that replace the old one and two bad ones that people took back after twenty minutes.
pub(crate) fn with_rollouts() -> Past {
    let usual = Arrivals {
        requests: 20.0,
        errors: 0.002,
        clump: 1.0,
    };
    let bad = |errors| Arrivals { errors, ..usual };
    let trial = minutes(20);
    let (first, second) = (hours(3), hours(8));
    let mut all = pods("bb1", 10, 0, first + trial, usual);
    all.extend(pods("bb2", 2, first, second + trial, usual));
    all.extend(pods("bb2", 10, first + trial, second + trial, usual).split_off(2));
    all.extend(pods("bb3", 2, hours(5), hours(5) + trial, bad(0.02)));
    all.extend(pods("bb4", 2, second, hours(14), usual));
    all.extend(pods("bb4", 10, second + trial, hours(14), usual).split_off(2));
    all.extend(pods("bb5", 2, hours(11), hours(11) + trial, bad(0.5)));
    Past {
        service: "web".to_owned(),
        scrape_seconds: 15,
        pods: all,
        seed: SEED,
    }
}

/// Ten pods on which errors come four at a time.
pub(crate) fn clumped(seconds: u32, seed: u64) -> Past {
    let arrivals = Arrivals {
        requests: 20.0,
        errors: 0.004,
        clump: 4.0,
    };
    Past {
        service: "clumped".to_owned(),
        scrape_seconds: 15,
        pods: pods("cc1", 10, 0, seconds, arrivals),
        seed,
    }
}
