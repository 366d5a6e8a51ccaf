//! What came of it, in a few lines.

use std::collections::BTreeMap;
use std::io::Write as _;

use belay_lab::Tally;

use crate::Kind;
use crate::lane::Measured;

/// What came of a lane.
pub(crate) struct Account {
    pub(crate) kind: Kind,
    pub(crate) runs: usize,
    pub(crate) measured: Vec<Measured>,
    pub(crate) kills: u32,
    pub(crate) disturbances: u32,
    pub(crate) tally: Tally,
}

pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One line for each lane, and one for each share.
pub(crate) fn sum_up(accounts: &[Account]) {
    for account in accounts {
        let Account {
            runs,
            kills,
            disturbances,
            tally,
            ..
        } = account;
        let lost = tally.lost();
        say(&format!(
            "{}: {runs} runs, {kills} kills, {disturbances} changes of scale or pods lost, {} requests, {lost} lost, {} answered with errors by pods",
            account.kind.name(),
            tally.ended,
            tally.ended - tally.answered - lost,
        ));
    }
    let mut shares: BTreeMap<u8, Vec<Measured>> = BTreeMap::new();
    for one in accounts.iter().flat_map(|account| &account.measured) {
        shares.entry(one.wanted).or_default().push(*one);
    }
    for (wanted, all) in shares {
        let answers: u64 = all.iter().map(|one| one.answers).sum();
        let least = all.iter().map(|one| one.percent).fold(100.0, f64::min);
        let most = all.iter().map(|one| one.percent).fold(0.0, f64::max);
        say(&format!(
            "weight {wanted}: {least:.2} to {most:.2} % in {} measurements of {answers} answers in all",
            all.len()
        ));
    }
}
