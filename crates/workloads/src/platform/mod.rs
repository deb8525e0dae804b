//! What is asked of Linux, all of it in one place: opening step by step, `statx`, directory listings, content, extended
//! attributes, mounts and limits.
//!
//! Nothing here follows a symlink unless its name says so, and nothing here needs a path to be shorter than the kernel's
//! limit of 4096 bytes: a path is walked in pieces from an open directory.

mod attributes;
mod content;
mod limits;
mod list;
mod mounts;
mod open;
mod placing;
mod rights;
mod stat;

pub(crate) use attributes::{
    ACL_ACCESS, ACL_DEFAULT, has_default_acl, is_privileged_attribute, read_attributes, read_open_attributes, remove_attribute,
    set_attribute,
};
pub(crate) use content::{allocate, make_hole, read_at, segment, truncate, will_need, write_at};
pub use limits::raise_open_files;
pub(crate) use list::list_names;
pub(crate) use mounts::pseudo_file_system;
pub(crate) use open::{
    descend, is_gone, is_stale, open_directory, open_file, open_in_root, open_marker, open_path_directory, open_path_of_slash,
    open_trusted_directory, split_components, split_name,
};
pub(crate) use placing::{
    Named, create_file, effective_user_is_root, is_own, make_directory, make_link, make_node, make_symlink, move_new,
    open_handle, open_named_directory, open_past_cache, open_to_change, random_number, read_link, remove_directory, remove_file,
    rename_new, rename_over, set_mode, set_owner, set_times, spread_directories,
};
pub use rights::sees_trusted_attributes;
pub(crate) use stat::{Found, Stat, booted, changes_before, mount_id, now_ns, stat_at, stat_open, thread_cpu_ns};
