//! What tests on a real data plane share: a `main` that enters a network namespace, and a shop with a route to it.
//!
//! Such a test binary has `harness = false`, and its `main` is [`Tests::begin`] first of all. The arguments are those of other test
//! binaries. Where this machine allows no network namespace its tests are skipped, and it says so.

mod share;
mod shop;

use std::io::Write as _;
use std::process::ExitCode;

use belay_lab::{LabError, enter_plane};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::Error;
pub use share::{TOLERANCE_POINTS, answers_needed};
pub use shop::{SOON, Shop, from_now_on, share_becomes};

/// The tests of one binary.
pub struct Tests {
    arguments: Arguments,
    skipped: bool,
    trials: Vec<Trial>,
}

impl Tests {
    /// Enters the namespace. To be called first in `main`: threads that exist already would stay outside.
    pub fn begin() -> Result<Self, LabError> {
        let arguments = Arguments::from_args();
        let entered = if arguments.list {
            Ok(())
        } else {
            enter_plane()
        };
        let skipped = match entered {
            Ok(()) => false,
            Err(error @ LabError::PlaneForbidden(_)) => {
                say(&format!(
                    "SKIPPED, all tests that need pods that answer: {error}"
                ));
                true
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            arguments,
            skipped,
            trials: Vec::new(),
        })
    }

    /// Adds a test; it has a runtime of its own, as with `#[tokio::test]`.
    #[must_use]
    pub fn test<F>(self, name: &str, test: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>>,
    {
        let skipped = self.skipped;
        self.add(name, skipped, test)
    }

    /// Adds a test that needs no namespace of its own.
    #[must_use]
    pub fn test_anywhere<F>(self, name: &str, test: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), Error>>,
    {
        self.add(name, false, test)
    }

    fn add<F>(
        mut self,
        name: &str,
        skipped: bool,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Error>>,
    {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(test()).map_err(Failed::from)
        };
        let trial = Trial::test(name, run).with_ignored_flag(skipped);
        self.trials.push(trial);
        self
    }

    /// Runs the tests that the arguments choose.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&self.arguments, self.trials).exit_code()
    }
}

/// Runs the tests of `begun`, or says why there are none.
pub fn main(begun: Result<Tests, LabError>, add: impl FnOnce(Tests) -> Tests) -> ExitCode {
    match begun {
        Ok(tests) => add(tests).run(),
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
