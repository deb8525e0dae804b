//! What every request goes through: limits, identity, access, bodies in and out.

pub(crate) mod accept;
pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod document;
pub(crate) mod endpoint;
pub(crate) mod failure;
pub(crate) mod line;
pub(crate) mod metrics;
pub(crate) mod segments;
pub(crate) mod streams;
