//! The part of a Release's spec that says what to look at.

use std::time::Duration;

use belay_api::{Release, release};
use belay_source::{
    Credential, GitRef, HelmOptions, RenderKind, RenderRequest, RepoPath, Repository,
    RepositoryUrl, SourceError, Transport,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};

use super::{cluster::Cluster, trouble::Trouble};
use crate::client::bounded;

/// What to look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    namespace: String,
    name: String,
    git: release::Git,
    render: Option<release::Render>,
}

impl Request {
    pub(super) fn of(release: &Release) -> Self {
        Self {
            namespace: release.namespace().unwrap_or_default(),
            name: release.name_any(),
            git: release.spec.source.git.clone(),
            render: release.spec.render.clone(),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn verify(&self) -> Option<&release::Verify> {
        self.git.verify.as_ref()
    }

    pub(super) fn interval(&self) -> Duration {
        self.git.interval.get()
    }

    pub(super) fn reference(&self) -> Result<GitRef, SourceError> {
        let reference = &self.git.reference;
        let prefix = reference.tag_prefix.as_deref().unwrap_or_default();
        if let Some(branch) = &reference.branch {
            GitRef::branch(branch)
        } else if let Some(tag) = &reference.tag {
            GitRef::tag(tag)
        } else if let Some(range) = &reference.semver {
            GitRef::versions(range, prefix)
        } else if let Some(name) = &reference.name {
            GitRef::named(name)
        } else {
            GitRef::commit(reference.commit.as_deref().unwrap_or_default())
        }
    }

    /// What to render, with what a chart may know of the cluster.
    pub(super) async fn rendering(&self, cluster: &Cluster) -> Result<RenderRequest, Trouble> {
        let kind = match &self.render {
            Some(render) if render.kustomize.is_some() => RenderKind::Kustomize,
            Some(render) if render.plain.is_some() => RenderKind::Plain,
            Some(release::Render {
                helm: Some(helm), ..
            }) => RenderKind::Helm(Box::new(self.chart(helm, cluster).await?)),
            _ => RenderKind::Detect,
        };
        let path = RepoPath::parse(self.git.path.as_deref().unwrap_or_default())?;
        Ok(RenderRequest { path, kind })
    }

    async fn chart(&self, helm: &release::Helm, cluster: &Cluster) -> Result<HelmOptions, Trouble> {
        let name = helm.release_name.as_ref().unwrap_or(&self.name);
        let version = match &helm.kube_version {
            Some(version) => version.clone(),
            None => cluster.version().await.map_err(Trouble::passing)?,
        };
        let options = HelmOptions::new(name, &self.namespace)
            .values_files(&helm.values_files)?
            .kube_version(version)
            .api_versions(helm.api_versions.iter().cloned());
        Ok(if helm.values.is_empty() {
            options
        } else {
            options.values(&helm.values)
        })
    }

    /// The repository, with the credential that the Secret holds now.
    pub(super) async fn repository(&self, client: &Client) -> Result<Repository, String> {
        let url = RepositoryUrl::parse(&self.git.url).map_err(|error| error.to_string())?;
        let Some(reference) = &self.git.secret_ref else {
            return Ok(Repository::anonymous(url));
        };
        let identity = format!("{}/{}", self.namespace, reference.name);
        let needs = match url.transport() {
            Transport::Ssh => "create it with identity (a private key) and known_hosts",
            _ => "create it with username and password, or bearerToken",
        };
        let secret = secret(client, &self.namespace, &reference.name, needs).await?;
        credential(&identity, &secret, url.transport()).and_then(|credential| {
            Repository::with_credential(url, credential).map_err(|error| error.to_string())
        })
    }
}

/// A Secret by its name. `needs` says what to do when there is none.
pub(super) async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
    needs: &str,
) -> Result<Secret, String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    bounded("reading a Secret", api.get_opt(name))
        .await
        .map_err(|error| format!("Secret {namespace}/{name}: {error}"))?
        .ok_or_else(|| format!("Secret {namespace}/{name} does not exist; {needs}"))
}

fn credential(identity: &str, secret: &Secret, transport: Transport) -> Result<Credential, String> {
    let value = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        // A line break at the end is an editor's doing, never part of a credential.
        std::str::from_utf8(&bytes.0)
            .ok()
            .map(|text| text.trim_end_matches(['\n', '\r']).to_owned())
    };
    let made = if transport == Transport::Ssh {
        // The second name is that of Secrets of Kubernetes' own type for keys.
        let Some(key) = value("identity").or_else(|| value("ssh-privatekey")) else {
            return Err(format!(
                "Secret {identity} has no key for SSH; put the private key under identity, and the server's keys under known_hosts"
            ));
        };
        let hosts = value("known_hosts").unwrap_or_default();
        Credential::ssh(identity, &key, value("password").as_deref(), &hosts)
    } else {
        match (value("bearerToken"), value("username"), value("password")) {
            (Some(token), ..) => Credential::bearer(identity, &token),
            (None, Some(username), Some(password)) => {
                Credential::basic(identity, &username, &password)
            }
            _ => {
                return Err(format!(
                    "Secret {identity} has neither username and password nor bearerToken"
                ));
            }
        }
    };
    made.map_err(|error| format!("Secret {identity}: {error}"))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> Secret {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn a_secret_holds_a_password_or_a_token() {
        let https = |pairs| credential("a/b", &secret(pairs), Transport::Https);
        assert!(https(&[("username", "u"), ("password", "p\n")]).is_ok());
        assert!(https(&[("bearerToken", "t")]).is_ok());
        let error = https(&[("password", "hush-hush")]).unwrap_err();
        assert!(error.contains("neither") && !error.contains("hush-hush"));
    }

    #[test]
    fn for_ssh_a_secret_holds_a_key_and_the_servers_keys() {
        let ssh = |pairs| credential("a/b", &secret(pairs), Transport::Ssh);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        let hosts = ("known_hosts", "git.example.com ssh-ed25519 AAAA");
        assert!(ssh(&[("identity", key), hosts]).is_ok());
        assert!(ssh(&[("ssh-privatekey", key), hosts]).is_ok());
        assert!(
            ssh(&[("identity", key)])
                .unwrap_err()
                .contains("known_hosts")
        );
        let error = ssh(&[("username", "u"), ("password", "hush-hush")]).unwrap_err();
        assert!(error.contains("identity") && !error.contains("hush-hush"));
    }
}
