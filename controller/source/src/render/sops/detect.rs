//! Which files are encrypted, in which format, and for whom.
//!
//! SOPS writes what it needs to know into the file itself, under `sops`. A file that is no valid YAML or JSON is left to those who read it.

use serde_json::Value;

use crate::yaml::{self, Limits};

/// Lists of keys in SOPS's own part of a file, by their names, with what people call them.
const OTHER_KEYS: [(&str, &str); 6] = [
    ("kms", "AWS KMS"),
    ("gcp_kms", "GCP KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "Vault"),
    ("pgp", "PGP"),
    ("hckms", "Huawei Cloud KMS"),
];

/// How the content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Json,
    Dotenv,
    Ini,
    /// JSON around bytes of any kind.
    Binary,
}

impl Format {
    /// For the program's arguments.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Dotenv => "dotenv",
            Self::Ini => "ini",
            Self::Binary => "binary",
        }
    }
}

/// An encrypted file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Encrypted {
    pub(super) format: Format,
    has_age: bool,
    others: Vec<&'static str>,
}

impl Encrypted {
    /// Whom it is encrypted for, if age is not among them.
    pub(super) fn without_age(&self) -> Option<String> {
        if self.has_age {
            None
        } else if self.others.is_empty() {
            Some("nobody".to_owned())
        } else {
            Some(self.others.join(" and "))
        }
    }
}

/// What the file is, if it is encrypted.
pub(super) fn encrypted(file: &str, content: &[u8]) -> Option<Encrypted> {
    let text = std::str::from_utf8(content).ok()?;
    if !text.contains("sops") {
        return None;
    }
    let name = file.rsplit('/').next().unwrap_or(file);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => in_documents(
            Format::Yaml,
            &yaml::parse_yaml(text, &Limits::default()).ok()?,
        ),
        "json" => in_documents(
            Format::Json,
            &yaml::parse_json(text, &Limits::default()).ok()?,
        ),
        _ if text.trim_start().starts_with('{') => in_documents(
            Format::Binary,
            &yaml::parse_json(text, &Limits::default()).ok()?,
        ),
        _ => in_lines(text),
    }
}

fn in_documents(format: Format, documents: &[yaml::Document]) -> Option<Encrypted> {
    let mut own_parts = documents.iter().filter_map(|document| {
        let own = document.value.get("sops")?;
        let is_own = ["mac", "lastmodified", "version"]
            .iter()
            .any(|key| own.get(key).is_some_and(Value::is_string));
        is_own.then_some(own)
    });
    let own = own_parts.next()?;
    let has = |list: &str| has_keys(own, list) || in_groups(own, list);
    Some(Encrypted {
        format,
        has_age: has("age"),
        others: named(|list| has(list)),
    })
}

fn has_keys(own: &Value, list: &str) -> bool {
    let keys = own.get(list).and_then(Value::as_array);
    keys.is_some_and(|keys| !keys.is_empty())
}

fn in_groups(own: &Value, list: &str) -> bool {
    let groups = own.get("key_groups").and_then(Value::as_array);
    groups
        .into_iter()
        .flatten()
        .any(|group| has_keys(group, list))
}

/// Lines of `name=value`, where SOPS's own names begin with `sops_`, or are in the section `[sops]`.
fn in_lines(text: &str) -> Option<Encrypted> {
    let begins = |start: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(start))
    };
    let (format, prefix) = if begins("sops_mac") || begins("sops_version") {
        (Format::Dotenv, "sops_")
    } else if begins("[sops]") && (begins("mac") || begins("version")) {
        (Format::Ini, "")
    } else {
        return None;
    };
    let has = |list: &str| {
        begins(&format!("{prefix}{list}__list_"))
            || (begins(&format!("{prefix}key_groups__"))
                && text.contains(&format!("__map_{list}__")))
    };
    Some(Encrypted {
        format,
        has_age: has("age"),
        others: named(has),
    })
}

fn named(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let found = OTHER_KEYS.iter().filter(|(list, _)| has(list));
    found.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_files_are_told_from_others_by_what_sops_writes_into_them() {
        let yaml = "a: ENC[AES256_GCM,data:x]\nsops:\n  age:\n  - recipient: x\n  mac: ENC[x]\n";
        let env = "A=ENC[x]\nsops_age__list_0__map_enc=x\nsops_mac=ENC[x]\n";
        let ini = "[a]\nb = ENC[x]\n[sops]\nage__list_0__map_enc = x\nmac = ENC[x]\n";
        let json = r#"{"data": "ENC[x]", "sops": {"age": [{"recipient": "x"}], "mac": "ENC[x]"}}"#;
        for (file, content, format) in [
            ("a/s.yaml", yaml, Format::Yaml),
            ("s.YML", yaml, Format::Yaml),
            ("s.json", json, Format::Json),
            ("s.bin", json, Format::Binary),
            (".env", env, Format::Dotenv),
            ("s.env", env, Format::Dotenv),
            ("s.ini", ini, Format::Ini),
        ] {
            let found = encrypted(file, content.as_bytes()).unwrap();
            assert_eq!(
                (found.format, found.without_age()),
                (format, None),
                "{file}"
            );
        }
        for (file, content) in [
            ("a.yaml", "sops: is a tool\n"),
            ("a.yaml", "data:\n  sops: {mac: x}\n"),
            ("a.yaml", "{{ if .Values.sops }}\n"),
            ("a.md", "about sops"),
            ("a.bin", "\u{0}sops"),
        ] {
            assert_eq!(encrypted(file, content.as_bytes()), None, "{content}");
        }
    }

    #[test]
    fn whom_a_file_is_encrypted_for_is_told() {
        for (content, others) in [
            (
                "sops: {kms: [{arn: x}], pgp: [{fp: x}], age: [], mac: x}",
                Some("AWS KMS and PGP"),
            ),
            (
                "sops: {key_groups: [{hc_vault: [{x: y}]}], mac: x}",
                Some("Vault"),
            ),
            (
                "sops: {pgp: [{fp: x}], age: [{recipient: x}], mac: x}",
                None,
            ),
            ("sops: {mac: x}", Some("nobody")),
        ] {
            let found = encrypted("a.yaml", content.as_bytes()).unwrap();
            assert_eq!(found.without_age().as_deref(), others, "{content}");
        }
    }
}
