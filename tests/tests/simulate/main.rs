//! `kubectl belay simulate` on a real Prometheus with hours of a made-up past, called as people call it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper that fails is a test that fails, and a seed is printed"
)]

mod pasts;

use std::{path::PathBuf, process::Stdio, time::Duration};

use belay_api::AnalysisTemplate;
use belay_engine::{
    analysis::{
        Count,
        ledger::{SeriesTick, Tick},
    },
    gate::{GatePolicy, GateState, Reading, Result as Measured, Stable, Verdict, Window, fold},
};
use belay_tests::{
    installed::plugin_program,
    past::{Arrivals, Prometheus, hours, minutes},
};
use jiff::Timestamp;
use pasts::{clumped, with_rollouts};
use quick_xml::{Reader, events::Event};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Poisson};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    sync::OnceCell,
    time::timeout,
};

/// 2025-06-01T00:00:00Z: always the same past.
const EPOCH: u64 = 1_748_736_000;
const FROM: &str = "2025-06-01T00:00:00Z";
const SEED: u64 = 20_261_123;
/// Building programs may come first, on a busy machine.
const SOON: Duration = Duration::from_mins(5);

const ROLLOUT: &str = include_str!("rollout.yaml");

/// A gate that is told that errors stand alone, on a service where they come four at a time.
const NAIVE: &str = include_str!("naive.yaml");

/// Gates of every other kind, on the service with rollouts.
const KINDS: &str = include_str!("kinds.yaml");

static WORLD: OnceCell<World> = OnceCell::const_new();

struct World {
    prometheus: Prometheus,
    plugin: PathBuf,
    folder: TempDir,
}

/// What a call ended with.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

async fn world() -> &'static World {
    WORLD
        .get_or_init(|| async {
            println!("seed {SEED}");
            let prometheus = Prometheus::start().await.expect("Prometheus");
            let pasts = [with_rollouts(), clumped(hours(24), SEED)];
            prometheus.bring(&pasts, EPOCH).await.expect("a past");
            let folder = TempDir::new().expect("a folder");
            let files = [
                ("rollout.yaml", ROLLOUT),
                ("naive.yaml", NAIVE),
                ("kinds.yaml", KINDS),
            ];
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).expect("a file");
            }
            World {
                prometheus,
                plugin: plugin_program().await.expect("the plugin"),
                folder,
            }
        })
        .await
}

impl World {
    fn command(&self, file: &str, cache: &str, words: &[&str]) -> Command {
        let mut command = Command::new(&self.plugin);
        command
            .arg("simulate")
            .env("BELAY_PROMETHEUS_URL", &self.prometheus.url)
            .arg("--file")
            .arg(self.folder.path().join(file))
            .arg("--cache")
            .arg(self.folder.path().join(cache))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn simulate(&self, file: &str, cache: &str, words: &[&str]) -> Ended {
        let output = timeout(SOON, self.command(file, cache, words).output());
        let output = output.await.expect("an end").expect("the plugin runs");
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

const FOURTEEN_HOURS: [&str; 4] = ["--from", FROM, "--to", "2025-06-01T13:50:00Z"];

#[tokio::test(flavor = "multi_thread")]
async fn planted_bad_versions_are_found_and_good_ones_go_through() {
    let world = world().await;
    let words = [&FOURTEEN_HOURS[..], &["--output", "json"]].concat();
    let ended = world.simulate("rollout.yaml", "found", &words).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = ended.json();
    let past: Vec<(&str, &str, bool)> = report["past"]
        .as_array()
        .expect("past rollouts")
        .iter()
        .map(|one| {
            (
                one["version"].as_str().unwrap_or_default(),
                one["happened"].as_str().unwrap_or_default(),
                one["rolledBack"].is_object(),
            )
        })
        .collect();
    assert_eq!(
        past,
        [
            ("bb2", "replaced", false),
            ("bb3", "withdrawn", true),
            ("bb4", "replaced", false),
            ("bb5", "withdrawn", true),
        ]
    );
    let after = |place: usize| report["past"][place]["rolledBack"]["afterSeconds"].as_f64();
    assert!(after(3) <= Some(60.0), "{:#}", report["past"][3]);
    let gate = &report["gates"][0];
    let usual = gate["usualShare"].as_f64().expect("a share");
    assert!((0.0015..0.02).contains(&usual), "{usual}");
    let found = |place: usize| gate["faults"][place]["found"]["share"].as_f64();
    assert!(found(3) >= Some(0.95) && found(3) >= found(0), "{gate:#}");
    let harmed = gate["faults"][3]["harmed"]["p50"].as_f64();
    assert!(harmed.is_some_and(|harmed| harmed > 0.0), "{gate:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_native_histograms_and_other_baselines_are_replayed_and_probes_say_why_not() {
    let world = world().await;
    let words = [&FOURTEEN_HOURS[..], &["--output", "json"]].concat();
    let ended = world.simulate("kinds.yaml", "kinds", &words).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = ended.json();
    let list = |field: &str| report[field].as_array().cloned().unwrap_or_default();
    let verdicts = |version: &str| -> Vec<(String, String)> {
        let past = list("past");
        let one = past.iter().find(|one| one["version"] == version);
        let verdicts = one.and_then(|one| one["verdicts"].as_array().cloned());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let verdicts = verdicts.unwrap_or_default().into_iter();
        verdicts
            .map(|one| (text(&one["gate"]), text(&one["verdict"])))
            .collect()
    };
    let pairs =
        |all: [(&str, &str); 3]| all.map(|(gate, verdict)| (gate.to_owned(), verdict.to_owned()));
    // Half of what bb5 serves fails, slowly; bb4 is as good as what it replaced, and of no side of the third gate.
    assert_eq!(
        verdicts("bb5"),
        pairs([
            ("kinds/native", "Fail"),
            ("kinds/budget", "Fail"),
            ("kinds/sides", "Fail")
        ]),
        "{:#}",
        report["past"]
    );
    let good = verdicts("bb4");
    assert_eq!(
        good[..2],
        pairs([("kinds/native", "Pass"), ("kinds/budget", "Pass"), ("", "")])[..2]
    );
    // Where nothing changes some units of the other baseline play the canary.
    let gates = list("gates");
    let sides = &gates[2];
    assert_eq!(
        sides["falseAlarms"]["of"], report["windows"]["number"],
        "{sides:#}"
    );
    assert!(sides["passed"]["share"].as_f64() >= Some(0.9), "{sides:#}");
    let usual = gates[0]["usualShare"].as_f64();
    assert!(usual > Some(0.001) && usual < Some(0.02), "{:#}", gates[0]);
    let why: Vec<String> = list("leftOut").iter().map(ToString::to_string).collect();
    assert!(
        why.len() == 2 && why[0].contains("a Job") && why[1].contains("an HTTP request"),
        "{why:?}"
    );
}

const A_DAY: [&str; 6] = [
    "--from",
    FROM,
    "--to",
    "2025-06-01T23:50:00Z",
    "--every",
    "15m",
];

/// How often the naive gate raises an alarm on clumped errors, by playing many windows without any Prometheus.
fn share_of_alarms(policy: &GatePolicy, windows: u32) -> f64 {
    let mut random = StdRng::seed_from_u64(SEED);
    let past = clumped(minutes(15), SEED);
    let Arrivals {
        requests,
        errors,
        clump,
    } = past.pods[0].arrivals;
    let served = requests * f64::from(past.scrape_seconds);
    let mut draw = |mean: f64| Poisson::new(mean).expect("a mean").sample(&mut random);
    let mut side = |pods: f64| {
        let bad = clump * draw(pods * served * errors / clump);
        Count::new(bad, bad + draw(pods * served * (1.0 - errors)))
    };
    let at = |look: u32| Timestamp::from_second(i64::from(look * 15)).expect("a time");
    let mut alarms = 0_u32;
    for _ in 0..windows {
        let mut state = GateState::unmeasured(policy);
        for look in 0..minutes(15) / past.scrape_seconds {
            let series = SeriesTick {
                canary: side(1.0),
                stable: side(9.0),
                ..SeriesTick::default()
            };
            let tick = Tick {
                from: at(look),
                to: at(look + 1),
                series: vec![series],
                canary_pods: 1,
                stable_pods: 9,
                skipped: Vec::new(),
            };
            let reading = Reading::new(&policy.name, at(look + 1), Measured::Counted(tick));
            let window = Window {
                ready_from: Some(at(0)),
                passes_from: Some(at(0)),
                now: at(look + 1),
                comparing: 1,
                stable: Stable::Expected,
            };
            state = fold(policy, &state, &[reading], window).state;
        }
        alarms += u32::from(state.verdict == Verdict::Fail);
    }
    f64::from(alarms) / f64::from(windows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_rate_of_false_alarms_lies_within_its_interval() {
    let template: AnalysisTemplate = serde_saphyr::from_str(NAIVE).expect("a template");
    let planted = share_of_alarms(&template.spec.gates[0].policy("naive"), 2_000);
    let world = world().await;
    let words = [&A_DAY[..], &["--output", "json"]].concat();
    let report = world.simulate("naive.yaml", "planted", &words).await.json();
    let gate = &report["gates"][0];
    let (alarms, end) = (&gate["falseAlarms"], |end: &str| {
        gate["falseAlarms"][end].as_f64().expect("an end")
    });
    println!("planted {planted}, found {alarms}");
    assert!(planted > 0.1, "{planted}: such a gate cries wolf often");
    assert!(alarms["effective"].as_f64() >= Some(90.0), "{alarms}");
    assert!(end("low") <= planted && planted <= end("high"), "{alarms}");
    let clumps = gate["dispersion"].as_f64().expect("clumps");
    assert!((3.5..4.5).contains(&clumps), "{clumps}");
    let warnings = gate["warnings"].to_string();
    assert!(warnings.contains("leave out dispersion"), "{warnings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_killed_goes_on_where_it_was() {
    let world = world().await;
    let words = [&A_DAY[..], &["--step", "2s", "--output", "json"]].concat();
    // Given a run that is killed after the first answers.
    let mut first = world
        .command("naive.yaml", "killed", &words)
        .spawn()
        .expect("the plugin runs");
    let mut progress = BufReader::new(first.stderr.take().expect("stderr")).lines();
    let line = timeout(SOON, progress.next_line()).await.expect("in time");
    assert!(line.expect("a line").expect("a line").contains(" of "));
    first.kill().await.expect("it is killed");
    // When it is run again, and once more.
    let again = world.simulate("naive.yaml", "killed", &words).await.json();
    let warm = world.simulate("naive.yaml", "killed", &words).await.json();
    // Then what was answered before is not asked again.
    let number = |report: &Value, field: &str| report[field].as_u64().expect("a number");
    let all = number(&again, "asked") + number(&again, "cached");
    assert!(number(&again, "cached") > 0, "{again:#}");
    assert_eq!((number(&warm, "asked"), number(&warm, "cached")), (0, all));
    let without = |mut report: Value| {
        report["asked"].take();
        report["cached"].take();
        report
    };
    assert_eq!(without(again), without(warm));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_seed_gives_one_report_and_another_seed_another() {
    let world = world().await;
    let of = async |seed: &str| {
        let words = [&A_DAY[..], &["--output", "json", "--seed", seed]].concat();
        let mut report = world.simulate("naive.yaml", "seeds", &words).await.json();
        report["asked"].take();
        report["cached"].take();
        report
    };
    let (one, same, other) = (of("7").await, of("7").await, of("8").await);
    assert_eq!(one, same);
    assert_ne!(one["gates"][0]["faults"], other["gates"][0]["faults"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn saved_answers_stand_in_for_the_prometheus() {
    let world = world().await;
    let file = world
        .folder
        .path()
        .join("answers.json")
        .display()
        .to_string();
    let live = [&FOURTEEN_HOURS[..], &["--save-answers", &file]].concat();
    let live = world.simulate("rollout.yaml", "saved", &live).await;
    assert_eq!(live.code, 0, "{live:?}");
    let rollout = world.folder.path().join("rollout.yaml");
    let saved = Command::new(&world.plugin)
        .args(["simulate", "--answers", &file, "--file"])
        .arg(rollout)
        .output();
    let saved = timeout(SOON, saved)
        .await
        .expect("in time")
        .expect("an end");
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.contains("queries"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(
        lines(&String::from_utf8_lossy(&saved.stdout)),
        lines(&live.out)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_the_command_line_decide_the_exit_code() {
    let world = world().await;
    let strict = ["--max-false-alarms", "0.01", "--max-missed", "0.1"];
    // A gate that cries wolf exceeds its limit; the report comes all the same.
    let noisy = [&A_DAY[..], &strict].concat();
    let noisy = world.simulate("naive.yaml", "limits", &noisy).await;
    assert_eq!(noisy.code, 1, "{noisy:?}");
    assert!(noisy.out.contains("EXCEEDED"), "{noisy:?}");
    assert!(noisy.err.contains("false alarms"), "{noisy:?}");
    // One that does not is fine, and CI can read it.
    let quiet = [&FOURTEEN_HOURS[..], &strict, &["--output", "junit"]].concat();
    let quiet = world.simulate("rollout.yaml", "limits", &quiet).await;
    assert_eq!(quiet.code, 0, "{quiet:?}");
    assert_eq!(cases(&quiet.out), (2, 0), "{}", quiet.out);
    let noisy = [&A_DAY[..], &strict, &["--output", "junit"]].concat();
    let noisy = world.simulate("naive.yaml", "limits", &noisy).await;
    assert_eq!(cases(&noisy.out), (2, 1), "{}", noisy.out);
    // What can't be carried out is neither.
    let nowhere = ["--prometheus", "http://127.0.0.1:1", "--from", "1h"];
    let nowhere = world.simulate("rollout.yaml", "nowhere", &nowhere).await;
    assert_eq!((nowhere.code, nowhere.out.as_str()), (2, ""), "{nowhere:?}");
}

/// Test cases of a `JUnit` report, and failures among them.
fn cases(xml: &str) -> (usize, usize) {
    let mut reader = Reader::from_str(xml);
    let (mut cases, mut failures) = (0, 0);
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(tag) | Event::Empty(tag) => match tag.name().as_ref() {
                "testcase" => cases += 1,
                "failure" => failures += 1,
                _ => {}
            },
            Event::Eof => return (cases, failures),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_may_say_which_rollouts_were_good_and_bad() {
    let world = world().await;
    let file = world.folder.path().join("rollouts.csv");
    let told = "start,end,canary,version,outcome\n\
        2025-06-01T03:00:00Z,2025-06-01T03:20:00Z,bb2,v2,good\n\
        2025-06-01T05:00:00Z,2025-06-01T05:20:00Z,bb3,v3,bad\n\
        2025-06-01T08:00:00Z,2025-06-01T08:20:00Z,bb4,v4,bad\n";
    std::fs::write(&file, told).expect("a file");
    let file = file.display().to_string();
    let words = [
        "--rollouts",
        &file,
        "--output",
        "junit",
        "--max-missed",
        "0.1",
    ];
    let words = [&FOURTEEN_HOURS[..], &words].concat();
    let ended = world.simulate("rollout.yaml", "told", &words).await;
    // v4 was called bad and does no harm that the gate could see.
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended
            .out
            .contains("v4 of 2025-06-01T08:00:00Z is rolled back")
    );
    assert_eq!(cases(&ended.out), (5, 2), "{}", ended.out);
}
