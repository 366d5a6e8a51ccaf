//! The OCI registry of a lab.

use super::Lab;
use crate::components::REGISTRY_LOGIN;
use crate::{LabError, Part};

impl Lab {
    /// Host and port of the registry, which speaks HTTP.
    pub fn registry(&self) -> Result<String, LabError> {
        self.require(Part::Registry)?;
        Ok(self.ports.address(Part::Registry).to_string())
    }

    /// The user name and the password that the registry asks everybody for.
    pub const fn registry_login(&self) -> (&'static str, &'static str) {
        REGISTRY_LOGIN
    }
}
