//! Places that take text whatever it looks like.
//!
//! Programs that build objects may drop quotation marks that were there in a file, so they alone can't say that `8080` is meant as
//! text. Left out: fields of custom resources, of which nothing is known here; those go by their quotation marks.

/// Objects whose values are texts.
const TEXT_MAPS: [&str; 4] = ["labels", "annotations", "matchLabels", "nodeSelector"];
/// Lists of texts.
const TEXT_LISTS: [&str; 2] = ["args", "command"];
/// Fields that are texts wherever they are.
const TEXT_FIELDS: [&str; 6] = ["name", "namespace", "image", "host", "kind", "apiVersion"];

/// Whether only text can stand at the pointer.
pub(super) fn takes_text(pointer: &str) -> bool {
    let steps: Vec<&str> = pointer.split('/').skip(1).collect();
    let depth = steps.len();
    let from_end = |back: usize| {
        depth
            .checked_sub(back)
            .and_then(|at| steps.get(at))
            .copied()
    };
    let (last, parent, above) = (from_end(1), from_end(2), from_end(3));
    let is = |step: Option<&str>, names: &[&str]| step.is_some_and(|step| names.contains(&step));
    let is_data = is(parent, &["data", "stringData", "binaryData"])
        && (depth == 2 || steps.first() == Some(&"items"));
    is(parent, &TEXT_MAPS)
        || is(parent, &TEXT_LISTS)
        || is(last, &TEXT_FIELDS)
        || is_data
        || (last == Some("value") && above == Some("env"))
}

#[cfg(test)]
mod tests {
    use super::takes_text;

    #[test]
    fn labels_data_arguments_and_environments_are_text_and_counts_are_not() {
        for pointer in [
            "/metadata/name",
            "/metadata/labels/a",
            "/spec/template/metadata/annotations/x.io~1y",
            "/data/PORT",
            "/items/0/data/PORT",
            "/spec/containers/0/env/3/value",
            "/spec/containers/0/args/0",
        ] {
            assert!(takes_text(pointer), "{pointer}");
        }
        for pointer in [
            "/spec/replicas",
            "/spec/containers/0/ports/0/containerPort",
            "/spec/data/size",
            "/spec/value",
        ] {
            assert!(!takes_text(pointer), "{pointer}");
        }
    }
}
