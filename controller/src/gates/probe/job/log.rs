//! What a failed pod said last.
//!
//! Invariant: the log is shown only when every Secret that the pod refers to could be read, and without any of their values. What a
//! program gets in another way (a token that it fetches itself, say) is not known here.

use super::Account;
use crate::{
    Error,
    client::bounded,
    gates::probe::{redact::Redactor, secrets},
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};
use kube::{
    Client, ResourceExt as _,
    api::{ListParams, LogParams},
};

/// Longest part of a log that is read.
const READ_BYTES: i64 = 64 * 1024;

/// Longest text of a log that is shown, counted from its end.
const SHOWN_BYTES: usize = 1024;

/// What is between two lines: a status is read in tables and events, too.
const LINE_END: &str = " ⏎ ";

/// What a failed pod left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    /// Exit code of the container that failed.
    pub(super) exit_code: Option<i32>,
    /// The end of its log, or why there is none, as the end of a sentence.
    pub(super) text: String,
}

impl Tail {
    fn without(exit_code: Option<i32>, why: impl Into<String>) -> Self {
        Self {
            exit_code,
            text: why.into(),
        }
    }
}

/// The end of the log of the pod of `job` that failed last.
pub(super) async fn tail(account: &Account, own: &Client, job: &Job, lines: u32) -> Tail {
    let pod = match last_pod(account, job).await {
        Ok(pod) => pod,
        Err(why) => return Tail::without(None, why),
    };
    let (container, exit_code) = failed_container(&pod);
    if lines == 0 {
        return Tail::without(exit_code, "its log is not asked for");
    }
    let spec = serde_json::to_value(&pod.spec).unwrap_or_default();
    let redactor = match secrets::redactor(own, &account.identity.namespace, &spec).await {
        Ok(redactor) => redactor,
        Err(why) => return Tail::without(exit_code, format!("its log is not shown, for {why}")),
    };
    let parameters = LogParams {
        container,
        tail_lines: Some(i64::from(lines)),
        limit_bytes: Some(READ_BYTES),
        ..LogParams::default()
    };
    let pods = account.pods();
    match bounded("reading a log", pods.logs(&pod.name_any(), &parameters)).await {
        Ok(log) => Tail::without(exit_code, shown(&log, &redactor)),
        Err(Error::Kube(kube::Error::Api(status))) if status.is_forbidden() => {
            let why = account.forbidden("get", "pods/log", &status);
            Tail::without(exit_code, format!("its log can't be read: {why}"))
        }
        Err(_) => Tail::without(exit_code, "its log can't be read"),
    }
}

async fn last_pod(account: &Account, job: &Job) -> Result<Pod, String> {
    let selector = format!("batch.kubernetes.io/job-name={}", job.name_any());
    let parameters = ListParams::default().labels(&selector);
    let pods = account.pods();
    let list = bounded("listing a Job's pods", pods.list(&parameters))
        .await
        .map_err(|error| {
            let why = account.refusal("list", "pods", &error);
            format!("its log can't be read: {why}")
        })?;
    let newest = list.items.into_iter().max_by_key(Pod::creation_timestamp);
    newest.ok_or_else(|| "its pods are gone, and their logs with them".to_owned())
}

/// The container that failed, and how; without one the first container.
fn failed_container(pod: &Pod) -> (Option<String>, Option<i32>) {
    let status = pod.status.as_ref();
    let initial = status.and_then(|status| status.init_container_statuses.as_deref());
    let main = status.and_then(|status| status.container_statuses.as_deref());
    let failed = initial
        .into_iter()
        .chain(main)
        .flatten()
        .filter_map(|container| Some((container.name.clone(), exit_code(container)?)))
        .find(|(_, code)| *code != 0);
    if let Some((name, code)) = failed {
        return (Some(name), Some(code));
    }
    let first = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    (first.map(|container| container.name.clone()), None)
}

fn exit_code(container: &ContainerStatus) -> Option<i32> {
    let state = container.state.as_ref()?;
    state.terminated.as_ref().map(|ended| ended.exit_code)
}

/// The end of `log` in one line.
fn shown(log: &str, redactor: &Redactor) -> String {
    // Cut off by the limit, the last line may end in the middle of a value.
    let limit = usize::try_from(READ_BYTES).unwrap_or(usize::MAX);
    let whole = if log.len() >= limit {
        log.rsplit_once('\n').map_or("", |(whole, _)| whole)
    } else {
        log
    };
    let lines: Vec<String> = redactor
        .apply(whole)
        .lines()
        .map(|line| line.trim_end().replace(char::is_control, " "))
        .filter(|line| !line.trim().is_empty())
        .collect();
    let clean = lines.join(LINE_END);
    if clean.is_empty() {
        return "it said nothing".to_owned();
    }
    let begin = clean.ceil_char_boundary(clean.len().saturating_sub(SHOWN_BYTES));
    let end = clean.get(begin..).unwrap_or_default();
    let dots = if begin > 0 { "… " } else { "" };
    format!("its log ends: {dots}{end}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_end_of_a_log_is_one_line_without_secrets() {
        let redactor = Redactor::new(["hunter2"]);
        let text = shown("start\n\ntoken=hunter2\u{7}\r\nno answer\n", &redactor);
        assert_eq!(text, "its log ends: start ⏎ token=[redacted]  ⏎ no answer");
        assert_eq!(shown("\n \n", &redactor), "it said nothing");
    }

    #[test]
    fn a_long_log_is_cut_at_its_beginning_and_never_in_a_value() {
        let redactor = Redactor::new(["hunter2"]);
        let long = format!("{}the end", "ä".repeat(4000));
        let text = shown(&long, &redactor);
        assert!(text.len() < SHOWN_BYTES + 40, "{}", text.len());
        assert!(text.ends_with("the end"), "{text}");
        let limit = usize::try_from(READ_BYTES).unwrap();
        let cut = format!("fine\n{}hunt", "x".repeat(limit - 9));
        assert_eq!(cut.len(), limit);
        assert_eq!(shown(&cut, &redactor), "its log ends: fine");
    }

    #[test]
    fn the_container_that_failed_is_asked() {
        let ended = |name: &str, code: i32| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": code}}});
        let pod = json!({"spec": {"containers": [{"name": "main"}, {"name": "side"}]},
            "status": {"containerStatuses": [ended("main", 0), ended("side", 4)]}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(failed_container(&pod), (Some("side".to_owned()), Some(4)));
    }
}
