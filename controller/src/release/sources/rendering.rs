//! The part of a Release's spec that says how to render, with what the cluster adds to it.

use belay_api::release::{self, InputKind, ValuesFrom};
use belay_source::{
    ChartArchive, Decryption, HelmOptions, HelmValues, RenderKind, RenderRequest, RepoPath,
    Secrecy, Substitution, is_exact_version,
};

use super::{
    charts::{self, Charts},
    cluster::Cluster,
    inputs::{Contents, Wanted},
    request::Request,
    trouble::Trouble,
    web::Login,
};
use crate::apply::Identity;

/// What the names of keys with age's keys end in.
const AGE_KEY: &str = ".agekey";

impl Request {
    /// The objects of the cluster that the render reads.
    pub(super) fn inputs(&self) -> Vec<Wanted> {
        let render = self.render.as_ref();
        let substitute = render.and_then(|render| render.substitute.as_ref());
        let variables = substitute.into_iter().flat_map(|s| &s.from);
        let helm = render.and_then(|render| render.helm.as_ref());
        let values = helm.into_iter().flat_map(|helm| &helm.values_from);
        let chart = helm.and_then(|helm| helm.chart.as_ref());
        let login = chart.and_then(|chart| chart.secret_ref.as_ref());
        let keys = self.decryption.iter().map(|d| &d.sops.secret_ref);
        let secrets = keys.chain(login).map(|reference| &reference.name);
        let named = variables
            .map(|from| (from.kind, &from.name, from.optional))
            .chain(values.map(|from| (from.kind, &from.name, from.optional)))
            .chain(secrets.map(|name| (InputKind::Secret, name, false)));
        let mut needed: Vec<Wanted> = Vec::new();
        for (kind, name, optional) in named {
            let known = needed
                .iter_mut()
                .find(|w| w.kind == kind && w.name == *name);
            match known {
                // Who can't do without it, says so for all.
                Some(known) => known.optional &= optional,
                None => needed.push(Wanted {
                    identity: self.identity(),
                    kind,
                    name: name.clone(),
                    optional,
                }),
            }
        }
        needed
    }

    fn identity(&self) -> Identity {
        Identity {
            namespace: self.namespace.clone(),
            name: self.account.clone(),
        }
    }

    /// Whether a newer chart may come without a newer commit.
    pub(super) fn follows_charts(&self) -> bool {
        let helm = self.render.as_ref().and_then(|render| render.helm.as_ref());
        let chart = helm.and_then(|helm| helm.chart.as_ref());
        chart.is_some_and(|chart| !is_exact_version(&chart.version))
    }

    /// What to render, with what a chart may know of the cluster, and what objects of it hold.
    pub(super) async fn rendering(
        &self,
        cluster: &Cluster,
        charts: &Charts,
        contents: &Contents,
    ) -> Result<RenderRequest, Trouble> {
        let kind = match &self.render {
            Some(render) if render.kustomize.is_some() => RenderKind::Kustomize,
            Some(render) if render.plain.is_some() => RenderKind::Plain,
            Some(release::Render {
                helm: Some(helm), ..
            }) => {
                let mut options = self.chart(helm, cluster, contents).await?;
                if let Some(chart) = &helm.chart {
                    options = options.packed(self.packed(chart, charts, contents).await?);
                }
                RenderKind::Helm(Box::new(options))
            }
            _ => RenderKind::Detect,
        };
        let path = RepoPath::parse(self.source.path())?;
        let mut request = RenderRequest::new(path, kind);
        let substitute = self.render.as_ref().and_then(|r| r.substitute.as_ref());
        request.substitution = match substitute {
            Some(substitute) => Some(substitution(substitute, contents)?),
            None => None,
        };
        request.decryption = match &self.decryption {
            Some(decryption) => Some(self.keys(&decryption.sops, contents)?),
            None => None,
        };
        Ok(request)
    }

    fn keys(&self, sops: &release::Sops, contents: &Contents) -> Result<Decryption, Trouble> {
        let name = &sops.secret_ref.name;
        let data = contents.get(InputKind::Secret, name);
        let keys = data.into_iter().flatten();
        let keys = keys.filter(|(key, _)| key.strip_suffix(AGE_KEY).is_some());
        let texts: Vec<&str> = keys
            .filter_map(|(_, value)| std::str::from_utf8(value).ok())
            .collect();
        Decryption::age(texts).map_err(|error| {
            let secret = format!(
                "Secret {}/{name}, keys that end in {AGE_KEY}",
                self.namespace
            );
            Trouble::unavailable(format!("{secret}: {error}"))
        })
    }

    async fn chart(
        &self,
        helm: &release::Helm,
        cluster: &Cluster,
        contents: &Contents,
    ) -> Result<HelmOptions, Trouble> {
        let name = helm.release_name.as_ref().unwrap_or(&self.name);
        let version = match &helm.kube_version {
            Some(version) => version.clone(),
            None => cluster.version().await.map_err(Trouble::passing)?,
        };
        let mut values = HelmValues::new();
        for from in &helm.values_from {
            self.add_values(&mut values, from, contents)?;
        }
        values.merge(&helm.values);
        Ok(HelmOptions::new(name, &self.namespace)
            .values_files(&helm.values_files)?
            .kube_version(version)
            .api_versions(helm.api_versions.iter().cloned())
            .values(values))
    }

    /// The chart from elsewhere.
    async fn packed(
        &self,
        chart: &release::ChartSource,
        charts: &Charts,
        contents: &Contents,
    ) -> Result<ChartArchive, Trouble> {
        let login = match &chart.secret_ref {
            None => None,
            Some(reference) => {
                let data = contents.get(InputKind::Secret, &reference.name);
                let value = |key: &str| {
                    let text = std::str::from_utf8(data?.get(key)?).ok()?;
                    Some(text.trim_end_matches(['\n', '\r']).to_owned())
                };
                let (Some(username), Some(password)) = (value("username"), value("password"))
                else {
                    return Err(Trouble::unavailable(format!(
                        "Secret {}/{} lacks username or password for {}",
                        self.namespace, reference.name, chart.repository
                    )));
                };
                Some(Login { username, password })
            }
        };
        let wanted = charts::Wanted {
            repository: &chart.repository,
            name: &chart.name,
            version: &chart.version,
            login,
            fresh: self.interval(),
        };
        charts.get(&wanted).await
    }

    fn add_values(
        &self,
        values: &mut HelmValues,
        from: &ValuesFrom,
        contents: &Contents,
    ) -> Result<(), Trouble> {
        let data = contents.get(from.kind, &from.name);
        let object = format!("{} {}/{}", from.kind.name(), self.namespace, from.name);
        let Some(content) = data.and_then(|data| data.get(&from.key)) else {
            if from.optional {
                return Ok(());
            }
            return Err(Trouble::unavailable(format!(
                "{object} has no key {:?}; add it, name another one with key, or say optional: true in valuesFrom",
                from.key
            )));
        };
        let origin = format!("{object}, key {:?}", from.key);
        let text = std::str::from_utf8(content)
            .map_err(|_| Trouble::unavailable(format!("{origin} is not text; store UTF-8")))?;
        let secrecy = secrecy(from.kind);
        match &from.target_path {
            Some(path) => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                values.set(&origin, path, text, secrecy)?;
            }
            None => values.merge_yaml(&origin, text, secrecy)?,
        }
        Ok(())
    }
}

/// All variables, the later ones over the earlier ones.
fn substitution(
    substitute: &release::Substitute,
    contents: &Contents,
) -> Result<Substitution, Trouble> {
    let mut variables = Substitution::new();
    for from in &substitute.from {
        for (key, value) in contents.get(from.kind, &from.name).into_iter().flatten() {
            // What is no text can't stand in one, and is missed where it is referred to.
            if let Ok(text) = std::str::from_utf8(value) {
                variables = variables.with(key, text, secrecy(from.kind));
            }
        }
    }
    for (name, value) in &substitute.variables {
        if !Substitution::is_name(name) {
            return Err(Trouble::unavailable(format!(
                "render.substitute.variables: {name:?} can't be referred to; write a name of letters, digits and _ that does not \
                 begin with a digit"
            )));
        }
        variables = variables.with(name, value, Secrecy::Open);
    }
    Ok(variables)
}

fn secrecy(kind: InputKind) -> Secrecy {
    match kind {
        InputKind::ConfigMap => Secrecy::Open,
        InputKind::Secret => Secrecy::Secret,
    }
}
