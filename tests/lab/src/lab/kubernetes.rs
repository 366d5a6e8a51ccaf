//! What a test asks the control plane for: clients, tokens, kubeconfig files and fresh namespaces.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::Lab;
use super::start::ADMIN_USER;
use crate::access::Credential;
use crate::{LabError, Part, wait_for_object};

/// How long the built-in controllers may take for a service account.
const ACCOUNT_WITHIN: Duration = Duration::from_mins(2);
/// How long the tokens handed out are valid.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

static NAMESPACES: AtomicU32 = AtomicU32::new(1);

impl Lab {
    /// The API server's address.
    pub fn api_url(&self) -> &str {
        &self.access.url
    }

    /// The certificate authority of the API server.
    pub fn ca_pem(&self) -> &str {
        &self.access.ca_pem
    }

    /// A kubeconfig file of an administrator.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.layout.kubeconfig(ADMIN_USER)
    }

    /// A new client that may do everything, as user `lab-admin`. It belongs to the calling task's runtime: one for each test.
    /// Failed requests are not tried again.
    pub fn client(&self) -> Result<Client, LabError> {
        self.access.client(&self.admin)
    }

    /// A new client with this bearer token.
    pub fn client_for_token(&self, token: &str) -> Result<Client, LabError> {
        self.access.client(&Credential::Token(token.to_owned()))
    }

    /// A new client with a certificate for this user name and, perhaps, group. It may do what RBAC gives them.
    pub fn client_for_user(&self, user: &str, group: Option<&str>) -> Result<Client, LabError> {
        self.access
            .client(&Credential::Certificate(self.pki.client(user, group)?))
    }

    /// Writes a kubeconfig file for programs that are to act under this token, and tells its path.
    pub fn kubeconfig_for_token(&self, user: &str, token: &str) -> Result<PathBuf, LabError> {
        let path = self.layout.kubeconfig(user);
        self.access
            .write_kubeconfig(&path, user, &Credential::Token(token.to_owned()))?;
        Ok(path)
    }

    /// A token of a service account, valid for a day.
    pub async fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<String, LabError> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client()?, namespace);
        let spec = TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec,
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await?;
        Ok(answer.status.map(|status| status.token).unwrap_or_default())
    }

    /// Makes a fresh namespace, its name beginning with `prefix`, that takes pods at once. It stays until the lab ends.
    pub async fn namespace(&self, prefix: &str) -> Result<String, LabError> {
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{number}-{:04x}", rand::random::<u16>());
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        };
        let namespaces = Api::<Namespace>::all(self.client()?);
        namespaces
            .create(
                &PostParams::default(),
                &Namespace {
                    metadata,
                    ..Namespace::default()
                },
            )
            .await?;
        self.service_account_exists(&name).await?;
        Ok(name)
    }

    /// The audit log: one JSON line (`audit.k8s.io/v1` `Event`) for each finished request. Needs [`crate::LabBuilder::audit`].
    pub fn audit_log_path(&self) -> Result<PathBuf, LabError> {
        if self.settings.audit {
            Ok(self.layout.file("audit.jsonl"))
        } else {
            Err(LabError::AuditAbsent)
        }
    }

    /// Waits for a namespace's default service account, where something makes it; without it the API server refuses pods.
    pub(super) async fn service_account_exists(&self, namespace: &str) -> Result<(), LabError> {
        if !self.has(Part::ControllerManager) {
            return Ok(());
        }
        let accounts = Api::<ServiceAccount>::namespaced(self.client()?, namespace);
        let exists = |account: Option<&ServiceAccount>| {
            account
                .map(|_| ())
                .ok_or_else(|| String::from("it does not exist"))
        };
        wait_for_object(&accounts, "default", ACCOUNT_WITHIN, exists).await
    }
}
