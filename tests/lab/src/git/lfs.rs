//! Git LFS beside the repositories: as much of its batch interface as a download needs. It is ours; git-lfs itself is not.
//!
//! Objects lie in the folder `lfs` of a repository, by their SHA-256. Left out: uploads, locks and every way of transfer but the basic
//! one.

use std::fmt::Write as _;
use std::path::PathBuf;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::GitHost;

/// Begins the part of a path that is LFS's, after the repository's folder.
const OBJECTS: &str = "/info/lfs/objects/";

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    oid: String,
    size: u64,
}

/// The answer to a request that is about LFS; nothing for others.
pub(super) fn answer(
    host: &GitHost,
    method: &Method,
    path: &str,
    body: &Bytes,
) -> Option<Response> {
    let (folder, what) = path.split_once(OBJECTS)?;
    let folder = folder.trim_matches('/');
    Some(match (method, what) {
        (&Method::POST, "batch") => batch(host, folder, body),
        (&Method::GET, oid) => match object(host, folder, oid).map(std::fs::read) {
            Some(Ok(content)) => content.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        },
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    })
}

fn batch(host: &GitHost, folder: &str, body: &Bytes) -> Response {
    let Ok(Batch { objects }) = serde_json::from_slice(body) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let objects: Vec<Value> = objects
        .into_iter()
        .map(|Wanted { oid, size }| {
            if object(host, folder, &oid).is_some_and(|file| file.is_file()) {
                let href = format!("{}/{folder}{OBJECTS}{oid}", host.url);
                json!({"oid": oid, "size": size, "actions": {"download": {"href": href}}})
            } else {
                let error = json!({"code": 404, "message": "Object does not exist"});
                json!({"oid": oid, "size": size, "error": error})
            }
        })
        .collect();
    let answer = json!({"transfer": "basic", "objects": objects});
    let kind = [(CONTENT_TYPE, "application/vnd.git-lfs+json")];
    (kind, answer.to_string()).into_response()
}

/// Where an object lies; nothing for what is no digest.
fn object(host: &GitHost, folder: &str, oid: &str) -> Option<PathBuf> {
    let is_digest = oid.len() == 64 && oid.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_plain = !folder.contains('/') && !folder.starts_with('.');
    (is_digest && is_plain).then(|| host.root().join(folder).join("lfs").join(oid))
}

/// Digest of a content and the pointer that stands for it.
pub(super) fn pointer(content: &[u8]) -> (String, String) {
    let digest = Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut digits, byte| {
            // Writing to a string can't fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        });
    let bytes = content.len();
    let text =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {bytes}\n");
    (digest, text)
}
