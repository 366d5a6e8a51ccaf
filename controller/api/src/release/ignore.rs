//! Fields that a Release leaves to others.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fields of some objects that others look after: given when an object is made, and after that neither sent nor put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// Which objects. One that matches nothing is no mistake.
    #[serde(default)]
    pub selector: ObjectSelector,
    /// Which of their fields, as JSON pointers: `/spec/replicas`, `/metadata/annotations/example.com~1owner`. A number is a place in
    /// a list; elements of lists are found again in the live object by their `name`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 2, max = 256)))]
    #[x_kube(validation = Rule::new("self.all(p, p.matches('^(/([^~/]|~[01])+)+$'))").message("write JSON pointers such as /spec/replicas: each part after a /, with ~1 for a / in a name and ~0 for a ~"))]
    #[x_kube(validation = Rule::new("self.all(p, !p.matches('^/(apiVersion|kind|metadata|metadata/(name|namespace|labels|annotations)|metadata/(labels|annotations)/belay[.]dev~1.*)$'))").message("what an object is, its labels and annotations as a whole, and Belay's marks can't be left to others; name single labels and annotations"))]
    pub pointers: Vec<String>,
}

/// Objects. What is not given matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectSelector {
    /// API group; empty for the core group.
    #[schemars(length(max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace.
    #[schemars(length(min = 1, max = 63))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels that the object carries, among others.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl ObjectSelector {
    /// Whether an object is meant.
    pub fn matches<'a>(
        &self,
        key: &belay_engine::release::observed::ObjectKey,
        label: impl Fn(&str) -> Option<&'a str>,
    ) -> bool {
        let fits =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        fits(&self.group, &key.group)
            && fits(&self.kind, &key.kind)
            && fits(
                &self.namespace,
                key.namespace.as_deref().unwrap_or_default(),
            )
            && fits(&self.name, &key.name)
            && self
                .labels
                .iter()
                .all(|(name, value)| label(name) == Some(value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::release::observed::ObjectKey;

    use super::*;

    #[test]
    fn what_is_not_given_matches_everything() {
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        let tier = |name: &str| (name == "tier").then_some("front");
        let selector =
            |value: serde_json::Value| -> ObjectSelector { serde_json::from_value(value).unwrap() };
        for (given, matches) in [
            (serde_json::json!({}), true),
            (serde_json::json!({"group": "apps", "name": "web"}), true),
            (serde_json::json!({"group": ""}), false),
            (serde_json::json!({"namespace": "other"}), false),
            (serde_json::json!({"labels": {"tier": "front"}}), true),
            (
                serde_json::json!({"labels": {"tier": "front", "app": "x"}}),
                false,
            ),
        ] {
            assert_eq!(
                selector(given.clone()).matches(&key, tier),
                matches,
                "{given}"
            );
        }
    }
}
