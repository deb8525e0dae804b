//! Promises of list.

use super::{assert_ok, content, name};
use crate::pause::join_all;
use crate::rng::Rng;
use storage::{ObjectName, ObjectStore};

/// Names in whose order directories and files, digits and separators are easily confused: `-` and `.` sort before `/`, digits
/// behind it.
const ODD: [&str; 22] = [
    "a-b",
    "a.b/c",
    "a/b",
    "a/b-",
    "a/b.c",
    "a/b0/0",
    "a/b0/1",
    "a/b0a",
    "a/c/-",
    "a/c/d/e/f/g",
    "a/c/d0",
    "a0",
    "a_",
    "aa/b",
    "b",
    "b-/x",
    "b.tmp",
    "b0/x",
    "z/00/1",
    "z/01",
    "z/0f/f",
    "zz",
];

async fn fill(store: &dyn ObjectStore, names: &[&str]) {
    let mut order: Vec<&str> = names.to_vec();
    Rng::new(4).shuffle(&mut order);
    for each in order {
        assert!(store.put(&name(each), content(each)).await.is_ok(), "{each} could not be put");
    }
}

/// Names listed, their lengths checked.
async fn list(store: &dyn ObjectStore, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let listed = store.list(prefix, after.map(name).as_ref(), limit).await;
    let listed = listed.unwrap_or_else(|error| panic!("listing '{prefix}' after {after:?} failed: {error:?}"));
    for object in &listed {
        assert_eq!(object.length, content(object.name.as_str()).len() as u64, "length of {}", object.name);
    }
    listed.into_iter().map(|object| object.name.as_str().to_owned()).collect()
}

/// What a list has to answer.
fn expected(names: &[&str], prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let mut names: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(prefix)).collect();
    names.retain(|name| after.is_none_or(|after| name.as_bytes() > after.as_bytes()));
    names.sort_unstable_by_key(|name| name.as_bytes());
    names.into_iter().take(limit).map(str::to_owned).collect()
}

pub(super) async fn names_are_listed_by_their_bytes(store: &dyn ObjectStore) {
    assert_ok!(store.list("", None, 10).await, Vec::new());
    fill(store, &ODD).await;
    assert_eq!(list(store, "", None, 1_000).await, expected(&ODD, "", None, 1_000));
    assert_eq!(list(store, "", None, usize::MAX).await, expected(&ODD, "", None, 1_000));
    assert_eq!(list(store, "", None, 0).await, Vec::<String>::new());
}

pub(super) async fn pages_of_any_size_make_up_the_whole(store: &dyn ObjectStore) {
    fill(store, &ODD).await;
    for prefix in ["", "a", "a/", "a/b0", "z/"] {
        let whole = expected(&ODD, prefix, None, 1_000);
        for limit in 1..=whole.len() + 1 {
            let mut found: Vec<String> = Vec::new();
            loop {
                let page = list(store, prefix, found.last().map(String::as_str), limit).await;
                assert!(page.len() <= limit, "a page of {} at a limit of {limit}", page.len());
                let last = page.len() < limit;
                found.extend(page);
                if last {
                    break;
                }
            }
            assert_eq!(found, whole, "prefix '{prefix}', pages of {limit}");
        }
    }
}

pub(super) async fn prefixes_need_not_end_at_a_directory(store: &dyn ObjectStore) {
    fill(store, &ODD).await;
    let mut marks: Vec<Option<&str>> = ODD.iter().map(|name| Some(*name)).collect();
    // Names that are not there, before, between, inside and behind those that are.
    marks.extend([
        None,
        Some("-"),
        Some("a"),
        Some("a/b0"),
        Some("a/c/d"),
        Some("a/zzz"),
        Some("m"),
        Some("z/0f/f0"),
        Some("zzz"),
    ]);
    for prefix in ["a", "a/", "a/b", "a/b0", "a/b0/", "a/c/d/e", "b", "b.", "z", "z/0", "z/00/1", "zz", ""] {
        for after in &marks {
            for limit in [1, 3, 100] {
                let found = list(store, prefix, *after, limit).await;
                assert_eq!(found, expected(&ODD, prefix, *after, limit), "prefix '{prefix}' after {after:?}, at most {limit}");
            }
        }
    }
}

pub(super) async fn prefixes_that_no_name_has_list_nothing(store: &dyn ObjectStore) {
    fill(store, &["a/b", "a/c"]).await;
    for prefix in [
        "/", "//", "a//", "a/b/", "a/b/c", ".", "..", "../", "a/../a/", "./a", "A", "a\0", "a\0/", "a b", "\u{fc}", "c/d/e",
        ".tmp/",
    ] {
        assert_eq!(list(store, prefix, None, 10).await, Vec::<String>::new(), "prefix {prefix:?}");
    }
}

pub(super) async fn puts_and_deletes_show_at_once(store: &dyn ObjectStore) {
    let names: Vec<ObjectName> = (0..300).map(|i| name(&format!("pack/{:02x}/{i:04}", i % 3))).collect();
    join_all(names.iter().map(|name| store.put(name, content(name.as_str())))).await;
    assert_eq!(list(store, "pack/", None, 1_000).await.len(), 300);
    let (kept, gone): (Vec<_>, Vec<_>) = names.iter().enumerate().partition(|(i, _)| i % 5 == 0);
    join_all(gone.iter().map(|(_, name)| store.delete(name))).await;
    let kept: Vec<&str> = kept.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(list(store, "pack/", None, 1_000).await, expected(&kept, "", None, 1_000));
}
