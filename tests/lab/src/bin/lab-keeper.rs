//! The keeper owns the processes and the folder of one lab, and ends both as soon as its standard input closes.
//!
//! Invariant: however the client ends (return, panic, ctrl-C, `kill -9`), the pipe closes, and no process and no file of the lab is
//! left. The keeper runs in a process group of its own, so that a ctrl-C in the terminal reaches the client only.
//!
//! One request a line, fields separated by U+001F: `start NAME LOG FOLDER PROGRAM ARG…`, `kill NAME`, `keep` (the folder stays).
//! Answers: `started NAME PID`, `failed NAME MESSAGE`, `exited NAME STATUS`.
//!
//! With `--leash PID` it owns nothing: it ends a process that somebody else started, as soon as its standard input closes. It uses the standard library only, because the build
//! script compiles this one file by itself. It leaves out restarts and readiness: these are the client's.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often exits are looked for; the standard library can't wait for a process and a request at once.
const REAP_INTERVAL: Duration = Duration::from_millis(50);
/// How often the folder's removal is tried: a process that has just been killed may still have been creating a file.
const REMOVE_TRIES: u32 = 50;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(first) = arguments.next() else {
        let _ = writeln!(
            io::stderr(),
            "usage: lab-keeper FOLDER, or --leash PID (started by the lab, not by hand)"
        );
        return ExitCode::from(2);
    };
    if first == "--leash" {
        let pid = arguments.next().and_then(|pid| pid.into_string().ok());
        return pid.map_or(ExitCode::from(2), |pid| leash(&pid));
    }
    keep(&PathBuf::from(first))
}

/// Ends the process `pid` once the input has closed, if it still runs.
fn leash(pid: &str) -> ExitCode {
    let seen = began(pid);
    let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
    // Process ids are given anew.
    if seen.is_some() && began(pid) == seen {
        let killed = Command::new("kill")
            .args(["-s", "KILL", "--", pid])
            .stderr(Stdio::null())
            .status();
        return killed.map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS);
    }
    ExitCode::SUCCESS
}

/// When a process began, in the kernel's ticks: the 22nd field of its `stat`, of which the second is a name in brackets.
fn began(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(ToOwned::to_owned)
}

fn keep(folder: &Path) -> ExitCode {
    // Held until this process ends: whoever gets this lock knows that the lab is gone.
    let lock = match File::create(folder.join("lock")).and_then(|lock| lock.lock().map(|()| lock)) {
        Ok(lock) => lock,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cannot lock {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut keeper = Keeper {
        children: BTreeMap::new(),
        keep_folder: false,
    };
    keeper.serve(&requests);
    keeper.end(folder);
    drop(lock);
    ExitCode::SUCCESS
}

struct Keeper {
    children: BTreeMap<String, Child>,
    keep_folder: bool,
}

impl Keeper {
    fn serve(&mut self, requests: &Receiver<String>) {
        loop {
            match requests.recv_timeout(REAP_INTERVAL) {
                Ok(line) => self.obey(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.reap();
        }
    }

    fn obey(&mut self, line: &str) {
        let mut fields = line.split('\u{1f}');
        match (fields.next(), fields.next()) {
            (Some("start"), Some(name)) => match start(&mut fields) {
                Ok(child) => {
                    answer("started", name, &child.id().to_string());
                    self.children.insert(name.to_owned(), child);
                }
                Err(error) => answer("failed", name, &error.to_string()),
            },
            (Some("kill"), Some(name)) => {
                if let Some(child) = self.children.get_mut(name) {
                    let _ = child.kill();
                }
            }
            (Some("keep"), _) => self.keep_folder = true,
            _ => {}
        }
    }

    fn reap(&mut self) {
        self.children.retain(|name, child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                answer("exited", name, &status.to_string());
                false
            }
            Err(error) => {
                answer("exited", name, &error.to_string());
                false
            }
        });
    }

    fn end(&mut self, folder: &Path) {
        for child in self.children.values_mut() {
            let _ = child.kill();
        }
        for child in self.children.values_mut() {
            let _ = child.wait();
        }
        for _ in 0..REMOVE_TRIES {
            if self.keep_folder || fs::remove_dir_all(folder).is_ok() || !folder.exists() {
                return;
            }
            thread::sleep(REAP_INTERVAL);
        }
    }
}

/// Starts `LOG FOLDER PROGRAM ARG…`; both output streams are appended to the log.
fn start<'a>(fields: &mut impl Iterator<Item = &'a str>) -> io::Result<Child> {
    let mut next = |what: &str| {
        fields
            .next()
            .ok_or_else(|| io::Error::other(format!("the request has no {what}")))
    };
    let (log, folder, program) = (next("log")?, next("folder")?, next("program")?);
    let log = File::options().create(true).append(true).open(log)?;
    Command::new(program)
        .args(fields)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))
}

/// Tells the client; one that has gone is noticed through the closed input, so a failed write is no news.
fn answer(event: &str, name: &str, detail: &str) {
    let detail = detail.replace('\n', " ");
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{event}\u{1f}{name}\u{1f}{detail}");
    let _ = out.flush();
}
