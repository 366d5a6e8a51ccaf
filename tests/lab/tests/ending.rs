//! Whatever way a lab ends, it leaves no process and no file; labs live side by side.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use belay_lab::{Lab, LabStatus, Leash, Part, wait_for};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Command;

/// More than anything here takes, even on a busy machine.
const SOON: Duration = Duration::from_secs(90);

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).expect("a process id")).expect("a process id")
}

fn alive(pids: &BTreeMap<String, u32>) -> Vec<&str> {
    pids.iter()
        .filter(|(_, number)| test_kill_process(pid(**number)).is_ok())
        .map(|(name, _)| name.as_str())
        .collect()
}

async fn nothing_left(status: &LabStatus) {
    let gone = wait_for("nothing to be left of the lab", SOON, || async {
        let (processes, folder) = (alive(&status.pids), status.dir.exists());
        if processes.is_empty() && !folder {
            Ok(())
        } else {
            Err(format!("processes {processes:?}, folder there: {folder}"))
        }
    });
    gone.await.expect("nothing left");
}

fn lab_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.stdin(Stdio::null()).env_remove("BELAY_LAB_KEEP");
    command
}

/// The status of a lab that another process is about to start in `folder`.
async fn status_of(folder: &Path) -> LabStatus {
    let read = wait_for("the lab to be up", SOON, || async {
        let status = LabStatus::read(folder).map_err(|error| error.to_string())?;
        if status.started_in_ms > 0 {
            Ok(status)
        } else {
            Err("starting".into())
        }
    });
    read.await.expect("the lab is up")
}

#[tokio::test]
async fn down_leaves_no_process_and_no_file_and_another_lab_alone() {
    let first = Lab::builder().nodes(1).with(Part::Prometheus);
    let (first, second) = tokio::join!(first.start(), Lab::builder().nodes(2).start());
    let (first, second) = (first.unwrap(), second.unwrap());
    let (one, two) = (first.status(), second.status());
    assert_eq!(one.pids.len(), 6);
    assert_eq!(alive(&one.pids).len(), 6);
    assert!(
        one.ports
            .values()
            .all(|port| two.ports.values().all(|other| port != other))
    );

    first.down().await.unwrap();
    assert_eq!(alive(&one.pids), [] as [&str; 0]);
    assert!(!one.dir.exists());
    let nodes = Api::<Node>::all(second.client().unwrap())
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(nodes.items.len(), 2);
    second.down().await.unwrap();
}

#[tokio::test]
async fn a_dropped_lab_goes_away() {
    let lab = Lab::builder().nodes(1).start().await.unwrap();
    let status = lab.status();
    drop(lab);
    nothing_left(&status).await;
}

#[tokio::test]
async fn a_lab_whose_holder_is_killed_goes_away() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lab");
    let mut holder = lab_command()
        .args(["up", "--nodes=1", "--with=git", "--dir"])
        .arg(&place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = status_of(&place).await;
    assert_eq!(alive(&status.pids).len(), 5);
    holder.kill().await.unwrap();
    nothing_left(&status).await;
}

#[tokio::test]
async fn an_interrupt_ends_a_lab_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lab");
    let mut holder = lab_command()
        .args(["up", "--nodes=1", "--dir"])
        .arg(&place)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = status_of(&place).await;
    kill_process(pid(holder.id().unwrap()), Signal::INT).unwrap();
    assert!(holder.wait().await.unwrap().success());
    assert_eq!(alive(&status.pids), [] as [&str; 0]);
    assert!(!place.exists());
}

#[tokio::test]
async fn a_detached_lab_is_found_by_status_and_ended_by_down() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lab");
    let lab = |words: &[&str]| lab_command().args(words).arg("--dir").arg(&place).output();
    let up = lab(&["up", "--detach", "--nodes=1", "--with=git,load"])
        .await
        .unwrap();
    assert!(
        up.status.success(),
        "{}",
        String::from_utf8_lossy(&up.stderr)
    );

    let status = lab(&["status", "--json"]).await.unwrap();
    let status: LabStatus = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(alive(&status.pids).len(), 5);
    let metrics = reqwest::get(status.load_url.as_ref().unwrap())
        .await
        .unwrap();
    assert!(metrics.status().is_success());
    assert!(
        !lab(&["up"]).await.unwrap().status.success(),
        "a second lab came up in the same folder"
    );

    assert!(lab(&["down"]).await.unwrap().status.success());
    nothing_left(&status).await;
    assert!(!lab(&["status"]).await.unwrap().status.success());
}

#[tokio::test]
async fn run_gives_the_command_a_lab_and_passes_on_its_exit_code() {
    let script =
        "kubectl get nodes -o name; test -d \"$BELAY_LAB_DIR\" && echo \"$BELAY_LAB_DIR\"; exit 7";
    let output = lab_command()
        .args(["run", "--nodes=2", "--", "sh", "-c", script])
        .output()
        .await
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(7),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["node/node-1", "node/node-2"]);
    assert!(!Path::new(lines[2]).exists(), "{} is still there", lines[2]);
}

/// Such a lab is in a network namespace of its own; its addresses are good on both sides.
#[tokio::test]
async fn a_lab_with_a_gateway_is_reached_from_outside_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("lab");
    let up = lab_command()
        .args(["up", "--detach", "--nodes=1", "--with=gateway", "--dir"])
        .arg(&place)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&up.stderr);
    if said.contains("allows no network namespace") {
        eprintln!("SKIPPED, a lab with a gateway: {said}");
        return;
    }
    assert!(up.status.success(), "{said}");
    // Given a gateway without a route, when traffic comes, then the gateway answers each request that nobody takes it.
    let status = LabStatus::read(&place).unwrap();
    let traffic = lab_command()
        .args(["traffic", "--seconds=1", "--rate=20"])
        .arg(status.gateway_url.as_deref().unwrap())
        .output()
        .await
        .unwrap();
    let tally: serde_json::Value = serde_json::from_slice(&traffic.stdout).unwrap();
    assert!(!traffic.status.success(), "lost requests are a failure");
    assert!(tally["ended"].as_u64() > Some(0), "{tally}");
    assert_eq!(tally["failed"]["gateway-404"], tally["ended"], "{tally}");
    // When it is ended, then nothing is left.
    let mut down = lab_command();
    down.args(["down", "--dir"]).arg(&place);
    assert!(down.status().await.unwrap().success());
    nothing_left(&status).await;
}

#[tokio::test]
async fn a_process_on_a_leash_ends_with_the_leash() {
    // Given a process that would go on for long, and that nobody else ends.
    let mut process = Command::new("sleep").arg("3600").spawn().unwrap();
    let leash = Leash::on(process.id().unwrap()).unwrap();
    // When the leash goes, as it does when whoever holds it dies.
    drop(leash);
    // Then the process is killed.
    let status = process.wait().await.unwrap();
    assert_eq!(status.signal(), Some(9));
}
