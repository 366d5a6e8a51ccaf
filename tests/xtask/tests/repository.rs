//! The repository as a whole: links lead somewhere, versions agree, files stay short, and nothing names a machine.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use belay_xtask::root;

/// Files under version control, and those that are new and not ignored.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

fn with_ending(ending: &str) -> Vec<(PathBuf, String)> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").unwrap();
    let (mut broken, mut seen) = (Vec::new(), 0);
    for (page, text) in with_ending("md") {
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let folder = page.parent().unwrap_or(Path::new(""));
            if !root().join(folder).join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(seen > 20, "only {seen} links were found");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_test_that_the_page_of_situations_names_exists() {
    let named = regex::Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let defined = regex::Regex::new(r"fn ([a-z0-9_]+)\(").unwrap();
    let sources = with_ending("rs");
    let all: BTreeSet<&str> = sources
        .iter()
        .flat_map(|(_, text)| defined.captures_iter(text))
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .collect();
    let page = read("docs/concepts/scenarios.md");
    let wanted: BTreeSet<&str> = named
        .captures_iter(&page)
        .filter_map(|found| Some(found.get(1)?.as_str()))
        .collect();
    assert!(wanted.len() > 30, "only {} tests were found", wanted.len());
    let missing: Vec<_> = wanted.difference(&all).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_decision_that_the_code_names_exists() {
    let name = regex::Regex::new(r"docs/decisions/[a-z0-9-]+\.md").unwrap();
    for ending in ["rs", "toml", "yaml"] {
        for (path, text) in with_ending(ending) {
            for found in name.find_iter(&text) {
                let exists = root().join(found.as_str()).is_file();
                assert!(exists, "{} names {}", path.display(), found.as_str());
            }
        }
    }
}

#[test]
fn the_image_is_built_with_the_versions_that_are_tested() {
    let dockerfile = read("deploy/Dockerfile");
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).unwrap();
    let minor = channel.rsplit_once('.').unwrap().0;
    assert!(dockerfile.contains(&format!("rust:{minor}-")), "{channel}");
    let module = read("tests/lab/kustomize/go.mod");
    let go = module
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap();
    let minor = go.rsplit_once('.').unwrap().0;
    assert!(dockerfile.contains(&format!("golang:{minor}-")), "{go}");
    let kustomize = module
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("sigs.k8s.io/kustomize/kustomize/v5 ")
        })
        .unwrap();
    let kustomize = kustomize.split(' ').next().unwrap();
    assert!(
        dockerfile.contains(&format!("provenance.version={kustomize}'")),
        "{kustomize}"
    );
    let module = read("tests/lab/helm/go.mod");
    let helm = module
        .lines()
        .find_map(|line| {
            line.trim()
                .trim_start_matches("require ")
                .strip_prefix("helm.sh/helm/v4 ")
        })
        .unwrap();
    let helm = helm.split(' ').next().unwrap();
    assert!(
        dockerfile.contains(&format!("version.version={helm}'")),
        "{helm}"
    );
}

#[test]
fn the_chart_has_the_version_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .unwrap()
        .trim_matches('"');
    let chart = read("charts/belay/Chart.yaml");
    for key in ["version", "appVersion"] {
        assert!(chart.contains(&format!("\n{key}: {version}\n")), "{key}");
    }
}

#[test]
fn source_files_stay_readable_in_one_sitting() {
    const LINES: usize = 500;
    /// Lists that are read by looking things up in them.
    const LISTS: [&str; 1] = ["tests/sim/src/mutants.rs"];
    let long: Vec<String> = with_ending("rs")
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(path, lines)| *lines > LINES && !LISTS.iter().any(|list| path.ends_with(list)))
        .map(|(path, lines)| format!("{}: {lines}", path.display()))
        .collect();
    assert!(long.is_empty(), "longer than {LINES} lines: {long:#?}");
}
