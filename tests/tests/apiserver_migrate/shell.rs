//! A shell as somebody has it who follows a guide: kubectl with the plugin, in one namespace.

use std::{path::PathBuf, process::Stdio, time::Duration};

use belay_lab::{Lab, Program, wait_for};
use belay_tests::installed::plugin_program;
use kube::{
    Client,
    api::{DynamicObject, ListParams},
    core::GroupVersionKind,
    discovery,
};
use tokio::{io::AsyncWriteExt as _, process::Command, sync::OnceCell};

/// Longest time for one block of a guide; its own limits are shorter.
const BLOCK: Duration = Duration::from_mins(15);
/// Longest wait for a kind to be served everywhere.
const SERVED: Duration = Duration::from_mins(2);

static PLUGIN: OnceCell<PathBuf> = OnceCell::const_new();

/// Where commands run.
pub(crate) struct Shell {
    pub(crate) namespace: String,
    pub(crate) client: Client,
    folder: tempfile::TempDir,
    path: String,
}

impl Shell {
    /// In a fresh namespace, once the peers' kinds are served.
    pub(crate) async fn new(lab: &Lab, prefix: &str) -> Self {
        let client = lab.client().unwrap();
        for (group, kind) in [
            ("argoproj.io", "Rollout"),
            ("argoproj.io", "AnalysisTemplate"),
            ("flagger.app", "Canary"),
            ("flagger.app", "MetricTemplate"),
        ] {
            served(&client, group, kind).await;
        }
        let namespace = lab.namespace(prefix).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("bin");
        std::fs::create_dir(&programs).unwrap();
        let plugin = PLUGIN
            .get_or_init(|| async { plugin_program().await.expect("the plugin builds") })
            .await;
        let kubectl = lab.program(Program::Kubectl).await.unwrap();
        std::os::unix::fs::symlink(kubectl, programs.join("kubectl")).unwrap();
        std::os::unix::fs::symlink(plugin, programs.join("kubectl-belay")).unwrap();
        std::fs::copy(lab.kubeconfig_path(), folder.path().join("kubeconfig")).unwrap();
        let inherited = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{inherited}", programs.display());
        let shell = Self {
            namespace,
            client,
            folder,
            path,
        };
        let namespaced = format!(
            "kubectl config set-context --current --namespace={}",
            shell.namespace
        );
        shell.run(&namespaced).await;
        shell
    }

    /// Runs `script` to its end, and fails with what it printed if any command of it fails.
    pub(crate) async fn run(&self, script: &str) -> String {
        let ended = tokio::time::timeout(BLOCK, self.command(script).output());
        let output = ended.await.expect("the commands end").expect("bash runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "{script}\nfailed with {}:\n{out}\n{err}",
            output.status
        );
        out.into_owned()
    }

    /// Gives `text` to `kubectl` with these words.
    pub(crate) async fn feed(&self, words: &str, text: &str) -> String {
        let mut command = self.command(&format!("kubectl {words}"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(text.as_bytes()).await.unwrap();
        drop(input);
        let output = child.wait_with_output().await.unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success(),
            "kubectl {words} of\n{text}\nfailed:\n{out}\n{err}"
        );
        out.into_owned()
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-e", "-u", "-o", "pipefail", "-c", script])
            .current_dir(self.folder.path())
            .env("PATH", &self.path)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

async fn served(client: &Client, group: &str, kind: &str) {
    let what = format!("{kind} of {group} to be served");
    wait_for(&what, SERVED, || async {
        let found = discovery::group(client, group)
            .await
            .map_err(|error| error.to_string())?;
        let wanted = found
            .recommended_kind(kind)
            .ok_or("its kind is not there")?;
        let version = GroupVersionKind::gvk(group, &wanted.0.version, kind);
        let resource = kube::api::ApiResource::from_gvk_with_plural(&version, &wanted.0.plural);
        let api: kube::Api<DynamicObject> = kube::Api::all_with(client.clone(), &resource);
        let list = api.list(&ListParams::default()).await;
        list.map(drop).map_err(|error| error.to_string())
    })
    .await
    .expect("it is served");
}
