//! Images that the spec replaces.

use std::sync::Arc;

use belay_source::{ImageOverride, RenderError, Rendered};

use super::Request;

impl Request {
    /// What was rendered, with the images that the spec wants.
    pub(super) fn with_images(
        &self,
        rendered: Arc<Rendered>,
    ) -> Result<Arc<Rendered>, RenderError> {
        if self.images.is_empty() {
            return Ok(rendered);
        }
        let overrides: Vec<ImageOverride> = self
            .images
            .iter()
            .map(|image| ImageOverride {
                name: image.name.clone(),
                new_name: image.new_name.clone(),
                new_tag: image.new_tag.clone(),
                digest: image.digest.clone(),
            })
            .collect();
        rendered.with_images(&overrides).map(Arc::new)
    }
}
