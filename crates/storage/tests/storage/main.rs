//! Tests of object stores.

#![forbid(unsafe_code)]

mod conformance;
mod provider;
