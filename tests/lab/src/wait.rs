//! Waiting on conditions. Tests never wait on time alone: they name what they wait for, and a timeout tells the last state seen.

use std::fmt::Debug;
use std::time::Duration;

use futures::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use crate::LabError;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Asks `probe` again and again until it says `Ok`, for what can't be watched. `Err` is the state seen, for the timeout's message.
///
/// ```no_run
/// # async fn example(url: &str) -> Result<(), belay_lab::LabError> {
/// use std::time::Duration;
/// let body = belay_lab::wait_for("an answer", Duration::from_secs(10), || async {
///     let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
///     answer.text().await.map_err(|error| error.to_string())
/// })
/// .await?;
/// # Ok(()) }
/// ```
pub async fn wait_for<T, F, Fut>(what: &str, within: Duration, mut probe: F) -> Result<T, LabError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + within;
    let (mut pause, mut last) = (FIRST_PAUSE, String::from("no answer to the first question"));
    while let Ok(answer) = timeout_at(deadline, probe()).await {
        match answer {
            Ok(value) => return Ok(value),
            Err(seen) => last = seen,
        }
        if Instant::now() + pause >= deadline {
            break;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Err(LabError::Timeout {
        what: what.to_owned(),
        waited: within,
        last,
    })
}

/// Watches one object until `check` says `Ok`. `check` sees `None` while the object does not exist; `Err` is the state seen.
///
/// The watch goes on when the API server restarts.
pub async fn wait_for_object<K, T, F>(
    api: &Api<K>,
    name: &str,
    within: Duration,
    mut check: F,
) -> Result<T, LabError>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    F: FnMut(Option<&K>) -> Result<T, String>,
{
    let deadline = Instant::now() + within;
    let selected = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let events = watcher(api.clone(), selected).default_backoff();
    let mut events = std::pin::pin!(events);
    let (mut last, mut seen_in_list) = (String::from("no answer from the API server"), false);
    while let Ok(event) = timeout_at(deadline, events.try_next()).await {
        let outcome = match event {
            Ok(Some(watcher::Event::Apply(object) | watcher::Event::InitApply(object)))
                if object.name_any() == name =>
            {
                seen_in_list = true;
                check(Some(&object))
            }
            Ok(Some(watcher::Event::Delete(object))) if object.name_any() == name => check(None),
            Ok(Some(watcher::Event::Init)) => {
                seen_in_list = false;
                continue;
            }
            Ok(Some(watcher::Event::InitDone)) if !seen_in_list => check(None),
            Ok(Some(_)) => continue,
            Ok(None) => Err(String::from("the watch ended")),
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(value) => return Ok(value),
            Err(seen) => last = seen,
        }
    }
    let what = format!(
        "{} {name}",
        std::any::type_name::<K>()
            .rsplit("::")
            .next()
            .unwrap_or("object")
    );
    Err(LabError::Timeout {
        what,
        waited: within,
        last,
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_as_soon_as_the_condition_holds() {
        let asked = Cell::new(0);
        let value = wait_for("three questions", Duration::from_mins(1), || async {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                Ok(7)
            } else {
                Err(format!("asked {} times", asked.get()))
            }
        });
        assert_eq!(value.await.unwrap(), 7);
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_tells_what_was_waited_for_and_what_was_seen_last() {
        let never = wait_for("the sun", Duration::from_secs(5), || async {
            Err::<(), _>(String::from("night"))
        });
        assert_eq!(
            never.await.unwrap_err().to_string(),
            "waited 5 s for the sun; last seen: night"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_never_answered_is_given_up() {
        let hanging = wait_for(
            "an echo",
            Duration::from_secs(5),
            std::future::pending::<Result<(), String>>,
        );
        assert!(matches!(
            hanging.await.unwrap_err(),
            LabError::Timeout { .. }
        ));
    }
}
