//! Custom resource definitions: `crds/` for people and tools, and the same files inside the chart.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::{Error, File, yaml};

/// Two copies of every definition: a chart can only contain what lies inside its own folder, and links don't survive every
/// archive and file system.
const FOLDERS: [&str; 2] = ["crds", "charts/belay/files/crds"];

/// One file per definition and folder.
pub fn files() -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for definition in belay_api::definitions() {
        let content = text(&definition)?;
        for folder in FOLDERS {
            let name = &definition.spec.names.plural;
            files.push(File::new(format!("{folder}/{name}.yaml"), content.clone()));
        }
    }
    Ok(files)
}

fn text(definition: &CustomResourceDefinition) -> Result<String, Error> {
    let what = format!("the definition of {}", definition.spec.names.kind);
    let value = serde_json::to_value(definition).map_err(|error| Error::Text {
        what: what.clone(),
        message: error.to_string(),
    })?;
    Ok(format!(
        "{}{}",
        yaml::HEADER,
        yaml::document(&what, &value)?
    ))
}
