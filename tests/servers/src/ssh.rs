//! An SSH server that runs the real `git upload-pack` for those who hold the right key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;

/// A running server. It ends with the test's runtime.
pub struct SshServer {
    port: u16,
    host_key: PublicKey,
    seen: Arc<Mutex<Vec<String>>>,
}

impl SshServer {
    /// Serves the repositories below `root` to whoever holds the private key of `allowed`.
    pub async fn start(root: &Path, host_key: &Path, allowed: &Path) -> Self {
        let host_key = PrivateKey::read_openssh_file(host_key).unwrap();
        let allowed = PublicKey::read_openssh_file(allowed).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            host_key: host_key.public_key().clone(),
            seen: Arc::default(),
        };
        let config = Arc::new(Config {
            keys: vec![host_key],
            auth_rejection_time: Duration::ZERO,
            ..Config::default()
        });
        let (root, seen) = (root.to_owned(), Arc::clone(&server.seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let client = Client {
                    root: root.clone(),
                    allowed: allowed.clone(),
                    seen: Arc::clone(&seen),
                    channels: HashMap::new(),
                    protocol: None,
                };
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    // A client that goes away is no failure of the server.
                    if let Ok(session) = run_stream(config, stream, client).await {
                        session.await.ok();
                    }
                });
            }
        });
        server
    }

    /// The address of a repository below the root.
    pub fn url(&self, path: &str) -> String {
        format!("ssh://git@127.0.0.1:{}/{path}", self.port)
    }

    /// The line of `known_hosts` for this server.
    pub fn known_hosts(&self) -> String {
        format!(
            "[127.0.0.1]:{} {}",
            self.port,
            self.host_key.to_openssh().unwrap()
        )
    }

    /// Commands and variables that clients sent, and keys that they offered.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

struct Client {
    root: PathBuf,
    allowed: PublicKey,
    seen: Arc<Mutex<Vec<String>>>,
    channels: HashMap<ChannelId, Channel<Msg>>,
    protocol: Option<String>,
}

impl Client {
    fn note(&self, text: String) {
        self.seen.lock().unwrap().push(text);
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.note(format!("key of {user}"));
        let is_allowed = key.public_key.key_data() == self.allowed.key_data();
        Ok(if is_allowed {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.note(format!("{name}={value}"));
        if name == "GIT_PROTOCOL" {
            self.protocol = Some(value.to_owned());
        }
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(command).into_owned();
        self.note(command.clone());
        let path = command
            .strip_prefix("git-upload-pack '")
            .and_then(|rest| rest.strip_suffix('\''))
            .map(|path| self.root.join(path.trim_start_matches('/')));
        let (Some(path), Some(channel)) = (path, self.channels.remove(&id)) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        let mut git = Command::new("git");
        git.arg("upload-pack").arg(path);
        git.env("GIT_PROTOCOL", self.protocol.clone().unwrap_or_default());
        tokio::spawn(serve(git, channel));
        Ok(())
    }
}

async fn serve(mut git: Command, channel: Channel<Msg>) {
    let pipes = git
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.kill_on_drop(true).spawn().unwrap();
    let (mut stdin, mut stdout, mut stderr) = (
        child.stdin.take().unwrap(),
        child.stdout.take().unwrap(),
        child.stderr.take().unwrap(),
    );
    let (mut from_client, to_client) = channel.split();
    let input = tokio::spawn(async move {
        let mut reader = from_client.make_reader();
        tokio::io::copy(&mut reader, &mut stdin).await.ok();
        stdin.shutdown().await.ok();
    });
    let (mut output, mut complaints) =
        (to_client.make_writer(), to_client.make_writer_ext(Some(1)));
    tokio::join!(
        async { tokio::io::copy(&mut stdout, &mut output).await.ok() },
        async { tokio::io::copy(&mut stderr, &mut complaints).await.ok() },
    );
    let status = child.wait().await.unwrap();
    let code = u32::try_from(status.code().unwrap_or(128)).unwrap_or(128);
    to_client.exit_status(code).await.ok();
    to_client.eof().await.ok();
    to_client.close().await.ok();
    input.abort();
}

/// Makes a key in `file`, and its public half in `file.pub`, by the real `ssh-keygen`.
pub fn make_key(file: &Path, passphrase: &str) {
    let mut command = std::process::Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-C", "", "-N", passphrase, "-f"]);
    let output = command.arg(file).output().unwrap();
    assert!(output.status.success());
}
