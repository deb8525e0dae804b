//! Pages. The input is the number of links (u16, little-endian) and the content; the links are 0, 1, 2 … as ids.

use format::BlobId;
use format::page::{Attributes, ImagePage, Leaf, Manifest, Node, Page, PageType, StreamLeaf, StreamNode};

/// More links than this cost time and find nothing more.
const LINKS_MAX: u16 = 300;

fn split(data: &[u8]) -> Option<Page> {
    let (count, content) = data.split_first_chunk::<2>().filter(|(count, _)| u16::from_le_bytes(**count) <= LINKS_MAX)?;
    let link = |number: u16| {
        let mut id = [0; 32];
        id[30..].copy_from_slice(&number.to_be_bytes());
        BlobId(id)
    };
    Some(Page { links: (0..u16::from_le_bytes(*count)).map(link).collect(), content: content.to_vec() })
}

macro_rules! page {
    ($(#[$doc:meta])* $name:ident, $type:ty, $of:expr) => {
        $(#[$doc])*
        pub fn $name(data: &[u8]) {
            let Some(page) = split(data) else { return };
            if let Ok(value) = <$type>::decode(&page.links, &page.content) {
                assert_eq!(PageType::of(&page.content), Ok($of));
                assert!(value.encode().as_ref() == Ok(&page), "another encoding than what was read");
            }
        }
    };
}

page!(/** Root of a point. */ manifest, Manifest, PageType::Manifest);
page!(/** Leaf of a tree. */ tree_leaf, Leaf, PageType::TreeLeaf);
page!(/** Node of a tree. */ tree_node, Node, PageType::TreeNode);
page!(/** Leaf of a stream. */ stream_leaf, StreamLeaf, PageType::StreamLeaf);
page!(/** Node of a stream. */ stream_node, StreamNode, PageType::StreamNode);
page!(/** Page of an image. */ image_page, ImagePage, PageType::Image);

/// A list of extended attributes.
pub fn attributes(data: &[u8]) {
    if let Ok(list) = Attributes::decode_list(data) {
        assert_eq!(Attributes::encode_list(&list), data);
        Attributes::check_list(&list).expect("what was read can be written again");
    }
}
