//! The real `git http-backend` behind a few lines of HTTP, with a password or a redirect where a test wants one, and as much of
//! an LFS server as a download needs. Its files lie elsewhere on the server (`/storage`), as with most forges.
#![allow(dead_code, unreachable_pub, reason = "a module of test binaries")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// What the server does with a request.
#[derive(Clone)]
pub enum Behaviour {
    /// Serves repositories to everybody.
    Open,
    /// Serves repositories to those who send this `Authorization`.
    Guarded(String),
    /// Sends everybody elsewhere.
    Redirecting(String),
    /// Answers with this status.
    Failing(u16),
}

/// A running server. Its thread ends with the test's process.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

impl Server {
    /// Serves the repositories below `root`.
    pub fn start(root: &Path, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::default());
        let (root, log) = (root.to_owned(), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (root, log, behaviour) = (root.clone(), Arc::clone(&log), behaviour.clone());
                // A client that goes away in the middle is no failure of the server.
                std::thread::spawn(move || answer(stream, &root, &log, &behaviour).ok());
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The headers of all requests so far, names in lower case, with `path`.
    pub fn requests(&self) -> Vec<HashMap<String, String>> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    stream: TcpStream,
    root: &Path,
    log: &Mutex<Vec<HashMap<String, String>>>,
    behaviour: &Behaviour,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    headers.insert("path".to_owned(), target.clone());
    log.lock().unwrap().push(headers.clone());
    if let Some(oid) = target.strip_prefix("/storage/") {
        return send(out, &std::fs::read(root.join("lfs").join(oid))?);
    }
    match behaviour {
        Behaviour::Guarded(expected) if headers.get("authorization") != Some(expected) => {
            write!(
                out,
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n"
            )?;
        }
        Behaviour::Redirecting(place) => {
            write!(out, "HTTP/1.1 301 Moved\r\nLocation: {place}{target}\r\n")?;
        }
        Behaviour::Failing(status) => write!(out, "HTTP/1.1 {status} Sorry\r\n")?,
        Behaviour::Open | Behaviour::Guarded(_) => {
            let length = headers
                .get("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            if target.ends_with("/info/lfs/objects/batch") {
                return send(out, batch(root, &headers, &body).as_bytes());
            }
            return serve(out, root, &method, &target, &headers, &body);
        }
    }
    write!(out, "Content-Length: 0\r\nConnection: close\r\n\r\n")
}

fn send(mut out: TcpStream, content: &[u8]) -> std::io::Result<()> {
    write!(
        out,
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.git-lfs+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    out.write_all(content)
}

/// Where the one object that is asked for can be had, or that it is missing.
fn batch(root: &Path, headers: &HashMap<String, String>, body: &[u8]) -> String {
    let request: serde_json::Value = serde_json::from_slice(body).unwrap();
    let object = &request["objects"][0];
    let (oid, size) = (object["oid"].as_str().unwrap(), &object["size"]);
    let answer = if root.join("lfs").join(oid).exists() {
        let href = format!("http://{}/storage/{oid}", headers["host"]);
        serde_json::json!({"oid": oid, "size": size, "actions": {"download": {"href": href}}})
    } else {
        let error = serde_json::json!({"code": 404, "message": "Object does not exist"});
        serde_json::json!({"oid": oid, "size": size, "error": error})
    };
    serde_json::json!({ "objects": [answer] }).to_string()
}

fn serve(
    mut out: TcpStream,
    root: &Path,
    method: &str,
    target: &str,
    headers: &HashMap<String, String>,
    body: &[u8],
) -> std::io::Result<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new(backend());
    command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path);
    command
        .env("REQUEST_METHOD", method)
        .env("QUERY_STRING", query)
        .env("REMOTE_ADDR", "127.0.0.1");
    command.env("CONTENT_LENGTH", body.len().to_string());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        command.env(variable, headers.get(header).map_or("", String::as_str));
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    child.stdin.take().unwrap().write_all(body)?;
    let output = child.wait_with_output()?.stdout;
    let split = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&output[..split]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let content = &output[split + 4..];
    write!(
        out,
        "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    )?;
    out.write_all(content)
}

fn backend() -> PathBuf {
    let output = Command::new("git").arg("--exec-path").output().unwrap();
    let program =
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()).join("git-http-backend");
    assert!(
        program.exists(),
        "git http-backend is not installed at {}",
        program.display()
    );
    program
}
