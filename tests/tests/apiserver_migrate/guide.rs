//! The commands of a page.

use std::fs;

use belay_tests::installed::workspace_root;

use crate::{served::Served, shell::Shell};

/// Runs every block of `sh` of a page of `docs/recipes`, one after the other, and looks at `served` after each.
pub(crate) async fn follow(shell: &Shell, page: &str, served: &[&Served]) {
    let text = fs::read_to_string(workspace_root().join("docs/recipes").join(page)).unwrap();
    let blocks = blocks(&text);
    assert!(
        blocks.len() > 5,
        "{page} has {} blocks of commands",
        blocks.len()
    );
    for block in blocks {
        println!("{block}");
        shell.run(&block).await;
        for one in served {
            one.never_empty(&block);
        }
    }
}

/// What stands between ```` ```sh ```` and the next fence.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("\n```sh\n") {
        let (block, after) = after.split_once("\n```").expect("the block ends");
        blocks.push(block.to_owned());
        rest = after;
    }
    blocks
}
