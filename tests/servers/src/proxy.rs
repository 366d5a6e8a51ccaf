//! A proxy that asks for a login.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy for `CONNECT` that wants this login. Gives its port and the targets that it was asked for, with the login.
pub async fn proxy(user: &str, password: &str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let targets = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(lead(stream, expected.clone(), Arc::clone(&seen)));
        }
    });
    (port, targets)
}

async fn lead(
    stream: TcpStream,
    expected: String,
    seen: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut target, mut login) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("CONNECT ") {
                rest.split(' ')
                    .next()
                    .unwrap_or_default()
                    .clone_into(&mut target);
            }
            if let Some(value) = line.strip_prefix("Proxy-Authorization: ") {
                value.clone_into(&mut login);
            }
            if line.is_empty() {
                break;
            }
        }
        if login == expected {
            seen.lock().unwrap().push(target.clone());
            let mut inside = TcpStream::connect(&target).await?;
            stream
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await?;
            copy_bidirectional(&mut stream, &mut inside).await?;
            return Ok(());
        }
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await?;
    }
}
