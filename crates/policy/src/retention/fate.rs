//! What becomes of a point, and why.

use format::PointId;
use jiff::Timestamp;
use jiff::civil::Date;
use std::fmt;

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fate {
    /// The point.
    pub id: PointId,
    /// When it expires.
    pub expiry: Expiry,
    /// Whether that is now or was before.
    pub expired: bool,
    /// Everything that keeps it, the longest first; what kept it last, if it is expired. Never empty.
    pub claims: Vec<Claim>,
}

impl Fate {
    /// Why it is kept, or was, in words.
    #[must_use]
    pub fn reason(&self) -> String {
        let claims = in_words(&self.claims);
        if self.expired { format!("expired; was kept as {claims}") } else { format!("kept as {claims}") }
    }
}

/// When a point expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this instant.
    At(Timestamp),
    /// Not as long as it is one of the newest points, and not before the instant.
    WhileNewest {
        /// How many of the newest are kept.
        points: u32,
        /// Not before this.
        not_before: Timestamp,
    },
    /// Not as long as the item has no newer whole point, and not before the instant.
    WhileNothingNewer {
        /// Not before this.
        not_before: Timestamp,
    },
}

impl Expiry {
    /// The instant at which, or before which, it does not expire.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        match self {
            Self::At(at) => *at,
            Self::WhileNewest { not_before, .. } | Self::WhileNothingNewer { not_before } => *not_before,
        }
    }
}

/// Something that keeps a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What.
    pub reason: Reason,
    /// Until when. None: until other points are made.
    pub until: Option<Timestamp>,
}

/// A rule that counts slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetentionRule {
    /// Every point of the newest scheduled days.
    Recent,
    /// The first point of a scheduled day.
    Daily,
    /// The first point of a week.
    Weekly,
    /// The first point of a month.
    Monthly,
    /// The first point of a year.
    Yearly,
}

/// Why a point is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It stands for a slot.
    Slot {
        /// The rule.
        rule: RetentionRule,
        /// The scheduled day that the point was made for.
        date: Date,
        /// How many slots the rule counts.
        count: u32,
        /// The slot that would take its place has come, and has no point yet.
        overtime: bool,
    },
    /// It was asked for.
    OnDemand {
        /// For how many days such points are kept.
        days: u32,
    },
    /// It is not whole, and kept for a while.
    Incomplete {
        /// For how many days.
        days: u32,
    },
    /// It is not whole, and the item has no newer whole point.
    NothingNewer,
    /// It has not been in this vault for long enough.
    Minimum {
        /// For how many days points must have been there.
        days: u32,
    },
    /// It is one of the newest points.
    Floor {
        /// How many of the newest are kept.
        points: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Slot { rule, date, count, overtime } => {
                write_slot(f, rule, date, count)?;
                if overtime { f.write_str(", until a newer slot has its point") } else { Ok(()) }
            }
            Self::OnDemand { days } => write!(f, "on-demand point, kept for {}", counted(days, "day")),
            Self::Incomplete { days } => write!(f, "incomplete point, kept for {}", counted(days, "day")),
            Self::NothingNewer => f.write_str("incomplete point with no newer whole one"),
            Self::Minimum { days } => write!(f, "point that has been here for less than {}", counted(days, "day")),
            Self::Floor { points: 1 } => f.write_str("the newest point"),
            Self::Floor { points } => write!(f, "one of the newest {points} points"),
        }
    }
}

/// Claims as one text.
pub(crate) fn in_words(claims: &[Claim]) -> String {
    claims.iter().map(|claim| claim.reason.to_string()).collect::<Vec<_>>().join("; ")
}

fn write_slot(f: &mut fmt::Formatter<'_>, rule: RetentionRule, date: Date, count: u32) -> fmt::Result {
    match rule {
        RetentionRule::Recent => write!(f, "recent point of {date}, kept for {}", counted(count, "scheduled day")),
        RetentionRule::Daily => write!(f, "daily point of {date}, one of {count}"),
        RetentionRule::Weekly => write!(f, "weekly point of the week with {date}, one of {count}"),
        RetentionRule::Monthly => write!(f, "monthly point of {}, one of {count}", date.strftime("%Y-%m")),
        RetentionRule::Yearly => write!(f, "yearly point of {}, one of {count}", date.year()),
    }
}

fn counted(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
