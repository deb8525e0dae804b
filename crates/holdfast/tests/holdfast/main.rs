//! The command, driven as a user drives it: the real binary, real files, a vault in a directory.

mod damage;
mod full_disk;
mod kill;
mod machine;
mod recovery;
mod round_trip;
mod secrets;
