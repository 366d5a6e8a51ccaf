//! Finished renders by what they depend on.
//!
//! Invariant: an outcome is recalled only when every path it was made from leads to the same object id as then. The
//! program that built it does not change while the process runs. Memory is bounded; what was used longest ago goes first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{RenderError, RenderRequest, Rendered};
use crate::files::Input;
use crate::repository::RepositoryKey;
use crate::{LfsMode, SubmoduleMode};

/// What a render gave.
pub(super) type Outcome = Result<Arc<Rendered>, RenderError>;

/// A parsed value takes about this many times the memory of its JSON.
const VALUE_OVER_JSON: usize = 4;
/// What an entry costs beside its objects.
const ENTRY_BYTES: usize = 1024;
/// Different contents of one directory that are remembered, for branches that go back and forth.
const VARIANTS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) repository: RepositoryKey,
    pub(super) submodules: SubmoduleMode,
    pub(super) lfs: LfsMode,
    pub(super) request: RenderRequest,
}

#[derive(Debug)]
pub(super) struct Cache {
    limit_bytes: usize,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    entries: HashMap<CacheKey, Vec<Entry>>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    inputs: Vec<Input>,
    outcome: Outcome,
    bytes: usize,
    used: u64,
}

impl Cache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            content: Mutex::default(),
        }
    }

    /// All paths that outcomes under this key depend on; nothing when there is no outcome.
    pub(super) fn paths(&self, key: &CacheKey) -> Option<Vec<String>> {
        let content = self.content();
        let entries = content.entries.get(key)?;
        let inputs = entries.iter().flat_map(|entry| &entry.inputs);
        let paths: BTreeSet<_> = inputs.map(|input| input.path.clone()).collect();
        Some(paths.into_iter().collect())
    }

    /// The outcome whose inputs are all as they are `now`.
    pub(super) fn find(&self, key: &CacheKey, now: &[Input]) -> Option<Outcome> {
        let mut content = self.content();
        content.clock += 1;
        let clock = content.clock;
        let is_current = |entry: &&mut Entry| entry.inputs.iter().all(|input| now.contains(input));
        let entry = content.entries.get_mut(key)?.iter_mut().find(is_current)?;
        entry.used = clock;
        Some(entry.outcome.clone())
    }

    pub(super) fn insert(&self, key: &CacheKey, inputs: Vec<Input>, outcome: Outcome) {
        let objects = outcome.as_ref().map_or(0, |rendered| {
            rendered.json_bytes.saturating_mul(VALUE_OVER_JSON)
        });
        let paths: usize = inputs.iter().map(|input| input.path.len() + 128).sum();
        let bytes = objects.saturating_add(paths).saturating_add(ENTRY_BYTES);
        if bytes > self.limit_bytes {
            return;
        }
        let mut content = self.content();
        content.clock += 1;
        let used = content.clock;
        let variants = content.entries.entry(key.clone()).or_default();
        variants.push(Entry {
            inputs,
            outcome,
            bytes,
            used,
        });
        let surplus = variants.len() > VARIANTS;
        content.bytes += bytes;
        if surplus {
            content.drop_oldest(Some(key));
        }
        while content.bytes > self.limit_bytes {
            content.drop_oldest(None);
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    /// Drops the entry that was used longest ago, of one key or of all.
    fn drop_oldest(&mut self, only: Option<&CacheKey>) {
        let candidates = self
            .entries
            .iter()
            .filter(|(key, _)| only.is_none_or(|only| only == *key));
        let used = |(key, entries): (&CacheKey, &Vec<Entry>)| {
            entries
                .iter()
                .map(|entry| entry.used)
                .min()
                .map(|used| (used, key.clone()))
        };
        let Some((used, key)) = candidates.filter_map(used).min_by_key(|(used, _)| *used) else {
            self.bytes = 0;
            return;
        };
        if let Some(entries) = self.entries.get_mut(&key) {
            let dropped: usize = entries
                .iter()
                .filter(|entry| entry.used == used)
                .map(|entry| entry.bytes)
                .sum();
            entries.retain(|entry| entry.used != used);
            self.bytes = self.bytes.saturating_sub(dropped);
            if entries.is_empty() {
                self.entries.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Oid, RepoPath, Repository, RepositoryUrl};

    fn key(path: &str) -> CacheKey {
        let url = RepositoryUrl::parse("https://git.example.com/a").unwrap();
        let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
        CacheKey {
            repository: Repository::anonymous(url).key(),
            submodules: SubmoduleMode::Refuse,
            lfs: LfsMode::Refuse,
            request,
        }
    }

    fn input(path: &str, digit: char) -> Input {
        Input {
            path: path.to_owned(),
            id: Some(Oid::parse(&digit.to_string().repeat(40)).unwrap()),
        }
    }

    fn outcome(name: &str) -> Outcome {
        Err(RenderError::EmptyRender {
            path: name.to_owned(),
        })
    }

    #[test]
    fn an_outcome_is_recalled_only_with_all_inputs_unchanged() {
        let cache = Cache::new(1 << 20);
        cache.insert(
            &key("a"),
            vec![input("a", '1'), input("base", '2')],
            outcome("x"),
        );
        assert_eq!(cache.paths(&key("a")).unwrap(), ["a", "base"]);
        assert_eq!(cache.paths(&key("b")), None);
        assert_eq!(
            cache.find(&key("a"), &[input("a", '1'), input("base", '2')]),
            Some(outcome("x"))
        );
        assert_eq!(
            cache.find(&key("a"), &[input("a", '1'), input("base", '3')]),
            None
        );
        assert_eq!(
            cache.find(&key("b"), &[input("a", '1'), input("base", '2')]),
            None
        );
        let gone = Input {
            path: "base".to_owned(),
            id: None,
        };
        assert_eq!(cache.find(&key("a"), &[input("a", '1'), gone]), None);
    }

    #[test]
    fn memory_and_variants_are_bounded_and_the_least_used_goes_first() {
        let cache = Cache::new(4000);
        cache.insert(&key("a"), vec![input("a", '1')], outcome("a"));
        cache.insert(&key("b"), vec![input("b", '1')], outcome("b"));
        assert!(cache.find(&key("a"), &[input("a", '1')]).is_some());
        cache.insert(&key("c"), vec![input("c", '1')], outcome("c"));
        cache.insert(&key("d"), vec![input("d", '1')], outcome("d"));
        assert!(cache.find(&key("b"), &[input("b", '1')]).is_none());
        assert!(cache.content().bytes <= 4000);
        let roomy = Cache::new(1 << 20);
        for digit in '0'..='9' {
            roomy.insert(&key("a"), vec![input("a", digit)], outcome("a"));
        }
        assert_eq!(roomy.content().entries[&key("a")].len(), VARIANTS);
        assert!(roomy.find(&key("a"), &[input("a", '9')]).is_some());
        assert!(roomy.find(&key("a"), &[input("a", '0')]).is_none());
    }
}
