//! The commands of a page.

use std::fs;

use belay_tests::installed::workspace_root;

use crate::{served::Served, shell::Shell};

/// What somebody does who follows a page.
pub(crate) struct Guide {
    blocks: Vec<String>,
}

impl Guide {
    /// Every block of `sh` of a page of `docs/recipes`, in order.
    pub(crate) fn new(page: &str) -> Self {
        let text = fs::read_to_string(workspace_root().join("docs/recipes").join(page)).unwrap();
        let blocks = blocks(&text);
        assert!(
            blocks.len() > 5,
            "{page} has {} blocks of commands",
            blocks.len()
        );
        Self { blocks }
    }

    /// What comes before the block that has these words, and that block with all after it.
    pub(crate) fn split(mut self, words: &str) -> (Self, Self) {
        let at = self.blocks.iter().position(|block| block.contains(words));
        let after = self.blocks.split_off(at.expect("a block has these words"));
        (self, Self { blocks: after })
    }

    /// Runs one block after the other, and looks at `served` after each.
    pub(crate) async fn follow(&self, shell: &Shell, served: &[&Served]) {
        for block in &self.blocks {
            println!("{block}");
            shell.run(block).await;
            for one in served {
                one.never_empty(block);
            }
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
