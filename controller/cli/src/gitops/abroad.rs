//! Releases whose objects are in another cluster: nothing about them is to be read from this one.

use belay_api::Release;

/// Where the objects are, if that is another cluster.
pub(crate) fn elsewhere(release: &Release) -> Option<String> {
    let status = release.status.as_ref();
    let is_there = status.is_some_and(|status| status.cluster.is_some());
    match &release.spec.kube_config {
        Some(config) => Some(format!(
            "in another cluster, by the kubeconfig in Secret {}",
            config.secret_ref.name
        )),
        None => is_there.then(|| "in another cluster".to_owned()),
    }
}

/// What to do instead of looking at the objects here, if they are elsewhere.
pub(super) fn look_there(release: &Release) -> Option<String> {
    let place = elsewhere(release)?;
    Some(format!(
        "it is {place}; ask there, by kubectl with --kubeconfig"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn release(config: Value, status: Value) -> Release {
        let mut release = json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
            "spec": {"source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}}}, "serviceAccountName": "d"},
        });
        release["spec"]["kubeConfig"] = config;
        release["status"] = status;
        serde_json::from_value(release).unwrap()
    }

    #[test]
    fn objects_are_elsewhere_by_the_spec_or_by_what_is_on_record() {
        let by_spec = release(json!({"secretRef": {"name": "east"}}), json!(null));
        assert!(look_there(&by_spec).unwrap().contains("Secret east"));
        let taken_out = release(json!(null), json!({"cluster": {"address": "a"}}));
        assert!(look_there(&taken_out).is_some());
        assert_eq!(elsewhere(&release(json!(null), json!({}))), None);
    }
}
