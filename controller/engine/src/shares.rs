//! Shares without a router: how many candidate pods beside the untouched stable ones give a wanted share.
//!
//! Invariant: the share that is given is never less than the one asked for, and one pod less would not give it. What can't
//! be given by pods alone (more than half of the requests) is refused where plans are made, not here.

use crate::rollout::plan::Share;

/// Highest share in percent that pods beside a stable version at full strength can give with as many pods again.
pub const MAX_WEIGHT_PERCENT: u8 = 50;

/// Candidate pods for `share` beside `replicas` stable ones: at least one and at most as many again; none without replicas.
pub fn candidate_pods(share: Share, replicas: i32) -> i32 {
    if replicas <= 0 {
        return 0;
    }
    let stable = i64::from(replicas);
    let pods = match share {
        Share::WeightPercent(weight) => {
            let weight = i64::from(weight.clamp(1, MAX_WEIGHT_PERCENT));
            ceil_div(stable * weight, 100 - weight)
        }
        Share::Replicas(pods) => i64::from(pods),
        Share::ReplicasPercent(percent) => ceil_div(stable * i64::from(percent), 100),
    };
    i32::try_from(pods.clamp(1, stable)).unwrap_or(replicas)
}

/// Candidate pods that a share of the requests takes when a router gives it: as many of `replicas` as the share, rounded up, and at
/// least one.
pub fn routed_pods(percent: u8, replicas: i32) -> i32 {
    if replicas <= 0 {
        return 0;
    }
    let pods = ceil_div(i64::from(replicas) * i64::from(percent.min(100)), 100);
    i32::try_from(pods.max(1)).unwrap_or(replicas)
}

/// Candidate pods for `share` when they take the places of stable ones: at least one, and one fewer than `replicas` at most, so that
/// the stable version is never gone before a promotion. None where that can't be.
pub fn in_place_pods(share: Share, replicas: i32) -> i32 {
    if replicas <= 1 {
        return 0;
    }
    let all = i64::from(replicas);
    let pods = match share {
        Share::WeightPercent(percent) | Share::ReplicasPercent(percent) => {
            ceil_div(all * i64::from(percent), 100)
        }
        Share::Replicas(pods) => i64::from(pods),
    };
    i32::try_from(pods.clamp(1, all - 1)).unwrap_or(replicas - 1)
}

/// Share of all pods, in whole percent rounded down, that `candidate` pods have beside `stable` ones.
pub fn weight_percent(candidate: i32, stable: i32) -> i32 {
    let (candidate, stable) = (i64::from(candidate.max(0)), i64::from(stable.max(0)));
    let percent = (candidate * 100)
        .checked_div(candidate + stable)
        .unwrap_or(0);
    i32::try_from(percent).unwrap_or(100)
}

fn ceil_div(dividend: i64, divisor: i64) -> i64 {
    (dividend + divisor - 1)
        .checked_div(divisor)
        .unwrap_or(dividend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_given_is_enough_and_minimal_for_every_size_and_weight() {
        for replicas in 1..=300 {
            for weight in 1..=MAX_WEIGHT_PERCENT {
                let pods = candidate_pods(Share::WeightPercent(weight), replicas);
                let enough = |k: i32| k * 100 >= i32::from(weight) * (replicas + k);
                assert!(
                    enough(pods),
                    "{weight} % of {replicas}: {pods} pods are too few"
                );
                assert!(
                    pods == 1 || !enough(pods - 1),
                    "{weight} % of {replicas}: {pods} pods are too many"
                );
                assert!(weight_percent(pods, replicas) >= i32::from(weight));
            }
        }
    }

    #[test]
    fn pods_and_percents_of_pods_stay_between_one_and_the_replicas() {
        let pods = |share, replicas| candidate_pods(share, replicas);
        assert_eq!(pods(Share::Replicas(3), 10), 3);
        assert_eq!(pods(Share::Replicas(30), 10), 10);
        assert_eq!(pods(Share::ReplicasPercent(1), 10), 1);
        assert_eq!(pods(Share::ReplicasPercent(25), 10), 3);
        assert_eq!(pods(Share::ReplicasPercent(100), 10), 10);
        assert_eq!(pods(Share::WeightPercent(50), i32::MAX), i32::MAX);
    }

    #[test]
    fn in_place_one_pod_stays_stable_and_the_share_is_enough_else() {
        for replicas in 2..=100 {
            for percent in 1..=100 {
                let pods = in_place_pods(Share::WeightPercent(percent), replicas);
                assert!((1..replicas).contains(&pods));
                let enough = pods * 100 >= i32::from(percent) * replicas;
                assert!(
                    enough || pods == replicas - 1,
                    "{percent} % of {replicas}: {pods}"
                );
            }
        }
        assert_eq!(in_place_pods(Share::Replicas(9), 3), 2);
        assert_eq!(in_place_pods(Share::ReplicasPercent(50), 1), 0);
    }

    #[test]
    fn a_workload_without_replicas_gets_no_candidate() {
        assert_eq!(candidate_pods(Share::WeightPercent(20), 0), 0);
        assert_eq!(weight_percent(0, 0), 0);
    }
}
