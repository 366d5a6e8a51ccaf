//! What judging costs: looks of the ledger and ticks of the evidence in a second, and bytes per gate. Prints a table, and the
//! same as JSON to `target/bench/evaluator.json`.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for people that may end where it can't go on"
)]

use std::{hint::black_box, path::Path, time::Duration, time::Instant};

use belay_engine::{
    analysis::{
        Count,
        evidence::Policy,
        ledger::{Ledger, Observation, PodSample, Role, Rules, Snapshot},
    },
    gate::{
        GatePolicy, GateState, Method, Mode, Reading, Stable, Then, UnknownPolicy, Window, fold,
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Time that each number is measured for.
const MEASURED: Duration = Duration::from_secs(1);

/// Gates that are kept in memory to see what one takes.
const KEPT: u32 = 5_000;

fn at(second: u32) -> Timestamp {
    Timestamp::from_second(i64::from(second)).unwrap()
}

/// Counters after `second` seconds: each pod serves a hundred requests a second, of which one in a thousand fails.
fn snapshot(second: u32, canary: u32, stable: u32, series: usize) -> Snapshot {
    let total = f64::from(second) * 100.0;
    let sample = |index: u32, role: Role| PodSample {
        pod: format!("checkout-5d8f7c9b6d-{role:?}-{index:05}"),
        role,
        started_at: at(0),
        ready_at: Some(at(1)),
        sampled_at: Some(at(second)),
        counters: vec![Count::new((total / 1000.0).floor(), total); series],
    };
    let canaries = (0..canary).map(|index| sample(index, Role::Canary));
    let stables = (0..stable).map(|index| sample(index, Role::Stable));
    Snapshot {
        at: at(second),
        pods: canaries.chain(stables).collect(),
    }
}

fn ledger() -> Ledger {
    let rules = Rules {
        warmup: Duration::from_secs(30),
        stale_after: Duration::from_secs(30),
    };
    Ledger::new(rules, at(0))
}

fn gate() -> GatePolicy {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 4,
        deadline: Duration::from_mins(10),
    };
    GatePolicy {
        name: "request-success-rate/errors".to_owned(),
        interval: Duration::from_secs(15),
        initial_delay: Duration::ZERO,
        success_count: 1,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: Method::Compare(Policy::default()),
    }
}

fn window() -> Window {
    Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(u32::MAX),
        comparing: 1,
        stable: Stable::Expected,
    }
}

/// One gate's life: its ledger and its standing.
struct Gate {
    policy: GatePolicy,
    ledger: Ledger,
    state: GateState,
}

impl Gate {
    fn new() -> Self {
        let policy = gate();
        let state = GateState::unmeasured(&policy);
        Self {
            policy,
            ledger: ledger(),
            state,
        }
    }

    /// A look, and what follows from it.
    fn look(&mut self, snapshot: &Snapshot) {
        let observation = self.ledger.observe(snapshot);
        let reading = Reading::new(&self.policy.name, snapshot.at, observation.into());
        self.state = fold(&self.policy, &self.state, &[reading], window()).state;
    }
}

/// How often `turn` can be done in a second.
fn per_second(mut turn: impl FnMut(u32)) -> f64 {
    let began = Instant::now();
    let mut turns = 0_u32;
    while began.elapsed() < MEASURED {
        turns += 1;
        turn(turns);
    }
    f64::from(turns) / began.elapsed().as_secs_f64()
}

/// Looks in a second of one gate with these pods and series, everything included but the making of the snapshot.
fn judging(canary: u32, stable: u32, series: usize) -> Value {
    let mut gate = Gate::new();
    let mut spent = Duration::ZERO;
    let mut turns = 0_u32;
    while spent < MEASURED {
        turns += 1;
        let snapshot = snapshot(100 + turns * 15, canary, stable, series);
        let began = Instant::now();
        gate.look(black_box(&snapshot));
        spent += began.elapsed();
    }
    assert!(gate.state.evidence.is_some(), "nothing was counted");
    json!({
        "pods": canary + stable,
        "series": series,
        "gates per second": (f64::from(turns) / spent.as_secs_f64()).round(),
        "bytes in status": serde_json::to_string(&gate.state).unwrap().len(),
    })
}

/// Ticks of evidence in a second, without a ledger.
fn weighing(series: usize) -> Value {
    let mut ledger = ledger();
    ledger.observe(&snapshot(100, 1, 10, series));
    let Observation::Tick(first) = ledger.observe(&snapshot(200, 1, 10, series)) else {
        unreachable!("two looks make a tick");
    };
    let policy = gate();
    let mut state = GateState::unmeasured(&policy);
    let rate = per_second(|turn| {
        let mut tick = first.clone();
        (tick.from, tick.to) = (at(turn * 15), at((turn + 1) * 15));
        let reading = Reading::new(&policy.name, tick.to, Observation::Tick(tick).into());
        state = fold(&policy, black_box(&state), &[reading], window()).state;
    });
    json!({"series": series, "ticks per second": rate.round()})
}

/// Bytes of resident memory that one gate takes, its ledger included; zero where the system doesn't tell.
fn keeping(canary: u32, stable: u32, series: usize) -> Value {
    let looks = [100, 200].map(|second| snapshot(second, canary, stable, series));
    let pods = u64::from(canary + stable);
    let gates = if pods > 100 { KEPT / 50 } else { KEPT };
    let before = resident();
    let kept: Vec<Gate> = (0..gates)
        .map(|_| {
            let mut gate = Gate::new();
            for look in &looks {
                gate.look(look);
            }
            gate
        })
        .collect();
    let grown = resident().saturating_sub(before);
    let bytes = grown / u64::from(gates);
    // Memory that is given back would be used again by the next ones, and not be seen.
    std::mem::forget(kept);
    json!({"pods": pods, "series": series, "bytes in memory": bytes})
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn print(title: &str, rows: &[Value]) {
    println!("\n== {title}");
    for (index, row) in rows.iter().filter_map(Value::as_object).enumerate() {
        if index == 0 {
            let titles: Vec<String> = row.keys().map(|key| format!("{key:>18}")).collect();
            println!("{}", titles.join(" "));
        }
        let cells: Vec<String> = row
            .values()
            .map(|cell| format!("{:>18}", cell.to_string()))
            .collect();
        println!("{}", cells.join(" "));
    }
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` must not take their time.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let sizes = [(1, 10, 1), (5, 95, 1), (50, 950, 1), (1, 10, 12)];
    let keeping = sizes.map(|(canary, stable, series)| keeping(canary, stable, series));
    print("a gate that is kept, with its ledger", &keeping);
    let judging = sizes.map(|(canary, stable, series)| judging(canary, stable, series));
    print("a look: ledger, evidence and verdict", &judging);
    let weighing = [1, 12, 20].map(weighing);
    print("a tick: evidence and verdict", &weighing);
    let results = json!({"keeping": keeping, "judging": judging, "weighing": weighing});
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("evaluator.json");
    std::fs::write(file, serde_json::to_string_pretty(&results).unwrap()).unwrap();
}
