//! Tests of the format through its public interface.

mod page;
mod samples;
