//! What runs on a protected machine by itself: it keeps what the service wants protected, starts runs by their schedules whether the
//! service is there or not, does the jobs that it is given, and tells the service what came of them.
//!
//! Invariant: the service asks, this machine's own configuration bounds what it may ask for, and nothing here trusts it beyond that.

#![forbid(unsafe_code)]
