//! What can go wrong with one request.

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `put`.
    Put,
    /// `get` and `get_ranges`.
    Get,
    /// `length`.
    Length,
    /// `list`.
    List,
    /// `delete`.
    Delete,
}

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `Unavailable`, and nothing happened.
    ErrorBefore,
    /// `Unavailable`, but it happened. (A read has no effect: the same as `ErrorBefore`.)
    ErrorAfter,
    /// `Unavailable`, and what was put is there, cut short. No store that keeps the trait's promises does this: it stands for
    /// disks and providers that lie. A delete: `ErrorBefore`.
    Torn,
    /// `Unavailable`, and it happens some steps of the storage later (any request by anybody is a step).
    Late {
        /// How many steps.
        steps: u32,
    },
    /// The provider stored the object, the answer got lost, and the client's own second try was told "already there". A request
    /// that is no put: no fault.
    AlreadyThere,
    /// `Full`, and nothing happened. A request that is no put: no fault.
    Full,
    /// Nothing goes wrong, but it takes so many pauses before and after the effect.
    Delay {
        /// How many pauses.
        steps: u32,
    },
}

/// How often something goes wrong at random: probabilities from 0.0 (never) to 1.0, drawn anew for each request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRates {
    /// Of [`Fault::ErrorBefore`], for every request.
    pub error_before: f64,
    /// Of [`Fault::ErrorAfter`], for puts and deletes.
    pub error_after: f64,
    /// Of [`Fault::Torn`], for puts.
    pub torn: f64,
    /// Of [`Fault::Late`], for puts and deletes.
    pub late: f64,
    /// Most steps that something is late.
    pub late_steps_max: u32,
    /// Of [`Fault::AlreadyThere`], for puts.
    pub already_there: f64,
    /// Of [`Fault::Full`], for puts.
    pub full: f64,
    /// Of [`Fault::Delay`], for every request, beside any other fault.
    pub delay: f64,
    /// Most pauses of a delay.
    pub delay_steps_max: u32,
}

impl FaultRates {
    /// Nothing ever goes wrong.
    pub const NONE: Self = Self {
        error_before: 0.0,
        error_after: 0.0,
        torn: 0.0,
        late: 0.0,
        late_steps_max: 0,
        already_there: 0.0,
        full: 0.0,
        delay: 0.0,
        delay_steps_max: 0,
    };

    /// A bad day: about one request in eight fails in one of the ways that the trait allows (so none is torn).
    pub const STORMY: Self = Self {
        error_before: 0.04,
        error_after: 0.04,
        torn: 0.0,
        late: 0.03,
        late_steps_max: 40,
        already_there: 0.03,
        full: 0.01,
        delay: 0.2,
        delay_steps_max: 8,
    };
}

/// Requests that callers made, failed ones included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Calls of `put`.
    pub puts: u64,
    /// Calls of `get` and `get_ranges`.
    pub gets: u64,
    /// Ranges that those asked for; a whole object counts as one.
    pub ranges: u64,
    /// Calls of `length`.
    pub lengths: u64,
    /// Calls of `list`.
    pub lists: u64,
    /// Calls of `delete`.
    pub deletes: u64,
    /// Bytes given to `put`.
    pub bytes_put: u64,
    /// Bytes answered by `get` and `get_ranges`.
    pub bytes_got: u64,
}
