//! Running kustomize apart from the machine.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};

use super::layout::Layout;
use crate::RepoPath;
use crate::process::{self, Bounds, Finished, Invocation, RunError};
use crate::render::{RenderError, RendererSettings};
use crate::text::one_line;

/// Ways to start a program without network, best first.
const UNSHARE: [&[&str]; 2] = [&["--net", "--"], &["--map-root-user", "--net", "--"]];

#[derive(Debug)]
pub(super) struct Sandbox {
    settings: RendererSettings,
    permits: Semaphore,
    starter: OnceCell<Starter>,
}

/// How kustomize is started on this machine.
#[derive(Debug)]
struct Starter {
    /// A program that takes the network away and its arguments; empty where that is not permitted.
    prefix: Vec<OsString>,
    program: PathBuf,
    version: String,
}

/// A successful build.
pub(super) struct Built {
    pub(super) output: String,
    pub(super) warnings: Vec<String>,
}

impl Sandbox {
    pub(super) fn new(settings: RendererSettings) -> Self {
        let permits = Semaphore::new(settings.processes.max(1));
        Self {
            settings,
            permits,
            starter: OnceCell::new(),
        }
    }

    /// The program's name and version.
    pub(super) async fn version(&self) -> Result<String, RenderError> {
        Ok(format!("kustomize {}", self.starter().await?.version))
    }

    /// Builds `path` from the files of the layout alone.
    pub(super) async fn build(
        &self,
        path: &RepoPath,
        layout: &Layout,
    ) -> Result<Built, RenderError> {
        let starter = self.starter().await?;
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(RenderError::work_directory)?;
        let folder = self.folder()?;
        let root = folder.path().join("repository");
        write_files(&root, layout)?;
        let target = root.join(path.as_str());
        let args = vec!["build".into(), "--".into(), target.into_os_string()];
        match self.run(starter, &folder, args).await {
            Ok(finished) if finished.status.success() => {
                let output = String::from_utf8(finished.stdout)
                    .map_err(|_| failed(path, "its output is not UTF-8"))?;
                Ok(Built {
                    output,
                    warnings: warnings(&finished.stderr),
                })
            }
            Ok(finished) => Err(failed(path, &complaint(&finished, folder.path(), layout))),
            Err(RunError::TimedOut) => Err(RenderError::TimedOut {
                path: path.to_string(),
                limit: self.settings.timeout,
            }),
            Err(RunError::TooMuchOutput) => Err(RenderError::TooLarge {
                what: format!("the build of {path}"),
                limit: format!("{} MiB", self.settings.output_bytes >> 20),
            }),
            Err(RunError::Start(error)) => Err(missing(&starter.program, &error)),
            Err(RunError::Talk(error)) => Err(RenderError::work_directory(error)),
        }
    }

    async fn starter(&self) -> Result<&Starter, RenderError> {
        self.starter.get_or_try_init(|| self.find_starter()).await
    }

    /// Finds the program and the strictest way to start it that works here, by asking for its version.
    async fn find_starter(&self) -> Result<Starter, RenderError> {
        let program = find_program(&self.settings.kustomize_program);
        let unshare = find_program(Path::new("unshare"));
        let mut prefixes: Vec<Vec<OsString>> = Vec::new();
        if unshare.is_absolute() {
            prefixes.extend(UNSHARE.iter().map(|options| {
                let options = options.iter().map(OsString::from);
                std::iter::once(unshare.clone().into_os_string())
                    .chain(options)
                    .collect()
            }));
        }
        prefixes.push(Vec::new());
        let folder = self.folder()?;
        let mut problem = std::io::Error::other("it gives no version");
        for prefix in prefixes {
            let starter = Starter {
                prefix,
                program: program.clone(),
                version: String::new(),
            };
            match self.run(&starter, &folder, vec!["version".into()]).await {
                Ok(finished) if finished.status.success() => {
                    let version = one_line(&String::from_utf8_lossy(&finished.stdout), 64);
                    tracing::info!(program = %program.display(), version, no_network = !starter.prefix.is_empty(), "kustomize is ready");
                    return Ok(Starter { version, ..starter });
                }
                Err(RunError::Start(error)) => problem = error,
                Ok(_) | Err(_) => {}
            }
        }
        Err(missing(&program, &problem))
    }

    async fn run(
        &self,
        starter: &Starter,
        folder: &TempDir,
        args: Vec<OsString>,
    ) -> Result<Finished, RunError> {
        let mut words = starter
            .prefix
            .iter()
            .cloned()
            .chain([starter.program.clone().into_os_string()])
            .chain(args);
        let program = PathBuf::from(words.next().unwrap_or_default());
        let empty = folder.path().join("empty").into_os_string();
        let soft_memory = self.settings.memory_bytes / 4 * 3;
        let env: Vec<(OsString, OsString)> = vec![
            ("HOME".into(), empty.clone()),
            ("XDG_CONFIG_HOME".into(), empty.clone()),
            ("KUSTOMIZE_PLUGIN_HOME".into(), empty.clone()),
            ("PATH".into(), empty),
            ("TMPDIR".into(), folder.path().join("tmp").into_os_string()),
            ("GOMAXPROCS".into(), "2".into()),
            ("GOMEMLIMIT".into(), soft_memory.to_string().into()),
        ];
        let bounds = Bounds {
            timeout: self.settings.timeout,
            stdout_bytes: self.settings.output_bytes,
            memory_bytes: self.settings.memory_bytes,
            file_bytes: 64 << 20,
        };
        let args = words.collect();
        let directory = folder.path().to_owned();
        process::run(
            &Invocation {
                program,
                args,
                env,
                directory,
                stdin: Vec::new(),
            },
            &bounds,
        )
        .await
    }

    /// A new directory that only this process's user can enter, and that is removed when dropped.
    fn folder(&self) -> Result<TempDir, RenderError> {
        let folder = tempfile::Builder::new()
            .prefix("belay-render-")
            .tempdir_in(&self.settings.work_directory);
        // Programs report paths with links resolved; so do we, to find them in their words.
        let folder = folder.map_err(RenderError::work_directory)?;
        for name in ["empty", "tmp", "repository"] {
            DirBuilder::new()
                .mode(0o700)
                .create(folder.path().join(name))
                .map_err(RenderError::work_directory)?;
        }
        Ok(folder)
    }
}

/// Writes the files. Their names were checked when the commit was read: no `..`, no absolute path.
fn write_files(root: &Path, layout: &Layout) -> Result<(), RenderError> {
    for (path, content) in &layout.files {
        let file = root.join(path);
        let parent = file.parent().unwrap_or(root);
        std::fs::create_dir_all(parent).map_err(RenderError::work_directory)?;
        std::fs::write(&file, content).map_err(RenderError::work_directory)?;
    }
    Ok(())
}

/// What kustomize says, made fit for a status, or why it is withheld.
fn complaint(finished: &Finished, folder: &Path, layout: &Layout) -> String {
    // Kustomize quotes what it chokes on, and here that may be the value of a Secret.
    if layout
        .files
        .values()
        .any(|content| speaks_of_secrets(content))
    {
        return "its message is withheld because the files hold Secrets; run `kustomize build` on them to see it".to_owned();
    }
    let prefix = format!("{}/repository/", folder.display());
    let last = finished
        .stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let said = without_groups(&last.replace(&prefix, ""));
    if said.is_empty() {
        format!("it ended with {}", finished.status)
    } else {
        one_line(&said, 400)
    }
}

fn speaks_of_secrets(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let is_secret = |line: &str| {
        let plain: String = line
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\''))
            .collect();
        plain.contains("kind:Secret") && !plain.contains("kind:SecretStore")
    };
    text.contains("secretGenerator") || text.lines().any(is_secret)
}

/// The text with everything in braces and brackets left out: that is where quoted manifests are.
fn without_groups(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '{' | '[' => {
                if depth == 0 {
                    kept.push('…');
                }
                depth += 1;
            }
            '}' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

fn warnings(stderr: &str) -> Vec<String> {
    let lines = stderr
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("warning"));
    lines
        .take(10)
        .map(|line| one_line(line.trim_start_matches(['#', ' ']), 200))
        .collect()
}

fn failed(path: &RepoPath, detail: &str) -> RenderError {
    RenderError::KustomizeFailed {
        path: path.to_string(),
        detail: detail.to_owned(),
    }
}

fn missing(program: &Path, error: &std::io::Error) -> RenderError {
    RenderError::KustomizeMissing {
        program: program.display().to_string(),
        detail: error.to_string(),
    }
}

/// Looks a bare name up in `PATH`; the program itself gets an empty one.
fn find_program(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return name.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_manifests_are_cut_out_of_messages() {
        assert_eq!(
            without_groups("bad patch '[{\"op\":\"add\",\"value\":\"hush\"}]' in a"),
            "bad patch '…' in a"
        );
    }

    #[test]
    fn secrets_are_noticed_and_references_to_them_are_not() {
        for text in [
            "kind: Secret\n",
            "{\"kind\": \"Secret\"}",
            "secretGenerator:\n- name: a\n",
        ] {
            assert!(speaks_of_secrets(text.as_bytes()), "{text}");
        }
        for text in [
            "secretKeyRef: {name: a}",
            "kind: ExternalSecret",
            "kind: SecretStore",
        ] {
            assert!(!speaks_of_secrets(text.as_bytes()), "{text}");
        }
    }
}
