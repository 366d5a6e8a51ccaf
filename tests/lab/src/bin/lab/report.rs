//! What the commands print: results on standard output, complaints on standard error.

use std::io::Write;
use std::path::PathBuf;

use belay_lab::{LabError, LabStatus, Program};

/// A closed output is no reason to fail: the lab matters, not its description.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "lab: {text}");
}

/// Passes on a line of another process.
pub(crate) fn pass_on(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub(crate) fn complain(error: &LabError) {
    note(&format!("error: {error}"));
}

pub(crate) fn json(value: &impl serde::Serialize) {
    print(&(serde_json::to_string_pretty(value).unwrap_or_default() + "\n"));
}

pub(crate) fn json_line(status: &LabStatus) {
    print(&(serde_json::to_string(status).unwrap_or_default() + "\n"));
}

pub(crate) fn programs(programs: &[(Program, PathBuf)]) {
    let lines: Vec<String> = programs
        .iter()
        .map(|(program, path)| format!("{:<24} {}\n", program.name(), path.display()))
        .collect();
    print(&lines.concat());
}

pub(crate) fn summary(status: &LabStatus) {
    let seconds = std::time::Duration::from_millis(status.started_in_ms).as_secs_f64();
    let mut lines = vec![
        ("folder", status.dir.display().to_string()),
        ("kubeconfig", status.kubeconfig.display().to_string()),
        ("API server", status.api_url.clone()),
    ];
    let optional = [
        ("Prometheus", &status.prometheus_url),
        ("Git", &status.git_url),
        ("load metrics", &status.load_url),
        ("gateway", &status.gateway_url),
    ];
    lines.extend(
        optional
            .into_iter()
            .filter_map(|(name, url)| Some((name, url.clone()?))),
    );
    lines.extend(
        status
            .audit_log
            .iter()
            .map(|path| ("audit log", path.display().to_string())),
    );
    lines.push(("programs", status.programs_dir.display().to_string()));
    let pids: Vec<String> = status
        .pids
        .iter()
        .map(|(name, pid)| format!("{name} {pid}"))
        .collect();
    lines.push((
        "processes",
        format!("{}, held by {}", pids.join(", "), status.holder_pid),
    ));
    lines.push(("nodes", format!("{}, up in {seconds:.1} s", status.nodes)));
    let text: String = lines
        .iter()
        .map(|(name, value)| format!("{name:<13} {value}\n"))
        .collect::<Vec<_>>()
        .concat();
    let (kubeconfig, bin) = (status.kubeconfig.display(), status.bin_dir.display());
    print(&text);
    print(&format!(
        "\nexport KUBECONFIG={kubeconfig} PATH={bin}:$PATH\n"
    ));
}
