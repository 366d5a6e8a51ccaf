//! Repositories with submodules, made without cloning them.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries")]

use super::support::Origin;

/// Puts a submodule's commit at a path, without a commit yet.
pub fn pin(origin: &Origin, path: &str, commit: &str) {
    std::fs::create_dir_all(origin.path().join(path)).unwrap();
    let entry = format!("160000,{commit},{path}");
    origin.git(["update-index", "--add", "--cacheinfo", &entry]);
}

/// Adds a submodule as `git submodule add` would, with a commit, at the head of `other`.
pub fn add(origin: &Origin, path: &str, url: &str, other: &Origin) {
    pin(origin, path, other.head().as_str());
    let file = origin.path().join(".gitmodules");
    let before = std::fs::read_to_string(file).unwrap_or_default();
    let section = format!("{before}[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
    origin
        .write(".gitmodules", section)
        .commit("Add a submodule");
}

/// Commits a tree that git's own commands refuse to make: `.gitmodules` as a link.
pub fn link_gitmodules(origin: &Origin, commit: &str) {
    let script = format!(
        "link=$(printf real | git hash-object -w --stdin) && \
         tree=$(printf '120000 blob %s\t.gitmodules\n160000 commit {commit}\tlib\n' $link | git mktree --missing) && \
         git update-ref refs/heads/main $(git commit-tree $tree -m Link)"
    );
    let shell = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(origin.path())
        .status();
    assert!(shell.unwrap().success());
}
