//! Conversions as the API server sees them: the peers' definitions take what is converted, and Belay's take the result.

use std::fs;

use belay_tests::installed::workspace_root;

use crate::{lab, shell::Shell};

#[tokio::test]
async fn the_result_is_taken_by_the_definitions_that_the_api_server_has() {
    let shell = Shell::new(lab().await, "taken").await;
    for name in ["checkout", "storefront"] {
        // given manifests that the other project's own definitions take, to the last field
        let source = workspace_root().join(format!("controller/cli/src/convert/tests/{name}.yaml"));
        let given = fs::read_to_string(source).unwrap().replace(
            "namespace: shop",
            &format!("namespace: {}", shell.namespace),
        );
        let taken = shell
            .feed(
                "create --dry-run=server --validate=strict -o name -f -",
                &given,
            )
            .await;
        assert!(taken.lines().count() >= 3, "{taken}");

        // when they are converted; something is left of the second
        let result = shell
            .feed("belay convert -f - || test $? = 6", &given)
            .await;

        // then the API server takes each object, with Belay's rules and the routers' definitions
        let made = shell
            .feed(
                "create --dry-run=server --validate=strict -o name -f -",
                &result,
            )
            .await;
        assert!(made.contains("rollout.belay.dev/"), "{made}");
        assert!(made.contains("analysistemplate.belay.dev/"), "{made}");
        // and the JSON is a list that kubectl takes as well
        let list = shell
            .feed("belay convert -f - -o json || test $? = 6", &given)
            .await;
        let again = shell
            .feed("create --dry-run=server -o name -f -", &list)
            .await;
        assert_eq!(made, again);
    }
}
