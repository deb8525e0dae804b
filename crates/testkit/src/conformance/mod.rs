//! The conformance suite of object stores: what the trait promises, and every provider and wrapper must keep.

mod listing;
mod putting;
mod reading;

use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use storage::{ObjectName, ObjectStore};

/// Runs the whole suite. `make_store` gives an empty store each time; what it stands on must live as long as the store.
/// Panics with the name of the case at the first promise that is not kept.
pub async fn storage_conformance<M, F>(mut make_store: M)
where
    M: FnMut() -> F,
    F: Future<Output = Arc<dyn ObjectStore>>,
{
    putting::what_is_put_can_be_read(&*make_store().await).await;
    putting::the_same_bytes_can_be_put_again(&*make_store().await).await;
    putting::other_bytes_never_replace_an_object(&*make_store().await).await;
    putting::an_empty_object_is_an_object(&*make_store().await).await;
    putting::a_large_object_comes_back(&*make_store().await).await;
    putting::one_of_many_puts_of_a_name_wins(&*make_store().await).await;
    putting::many_puts_of_the_same_bytes_all_succeed(&*make_store().await).await;
    putting::many_names_are_put_at_once(&*make_store().await).await;
    putting::deleted_objects_are_gone_and_may_come_back(&*make_store().await).await;
    reading::ranges_are_exact(&*make_store().await).await;
    reading::several_ranges_come_in_the_order_asked_for(&*make_store().await).await;
    reading::ranges_outside_the_object_are_invalid(&*make_store().await).await;
    reading::what_is_not_there_is_not_found(&*make_store().await).await;
    listing::names_are_listed_by_their_bytes(&*make_store().await).await;
    listing::pages_of_any_size_make_up_the_whole(&*make_store().await).await;
    listing::prefixes_need_not_end_at_a_directory(&*make_store().await).await;
    listing::prefixes_that_no_name_has_list_nothing(&*make_store().await).await;
    listing::puts_and_deletes_show_at_once(&*make_store().await).await;
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap_or_else(|error| panic!("the suite uses valid names: {error}"))
}

fn content(name: &str) -> Bytes {
    Bytes::from(format!("content of {name}"))
}

/// Panics unless it is the error of that kind.
macro_rules! assert_kind {
    ($result:expr, $kind:ident) => {
        match $result {
            Err(error) if error.kind() == storage::ErrorKind::$kind => {}
            other => panic!("expected {} to be {}, found {other:?}", stringify!($result), stringify!($kind)),
        }
    };
}
/// Panics unless it is `Ok` of that.
macro_rules! assert_ok {
    ($result:expr, $value:expr) => {
        match $result {
            Ok(value) => assert_eq!(value, $value, "{}", stringify!($result)),
            Err(error) => panic!("expected {} to succeed, found {error} ({error:?})", stringify!($result)),
        }
    };
}
use {assert_kind, assert_ok};
