//! When: days, times and windows in a time zone, and the slots that follow from them.
//!
//! A slot is one due time of a schedule. Its instant follows from the date and time on the wall by two rules: a time that the day
//! does not have (the clock was put forward over it) is the first instant after the gap, and a time that the day has twice (the
//! clock was put back over it) is its first occurrence. Slots that fall on the same instant are one slot.

mod days;
mod spread;
mod time_of_day;
mod timetable;
mod window;
mod zone;

pub use days::{Days, Week, Weekday};
pub use spread::ItemSeed;
pub use time_of_day::{TimeOfDay, Times};
pub use timetable::Slot;
pub use window::{TimeWindow, WindowState};

pub(crate) use timetable::{SlotCursor, Timetable};
pub(crate) use window::Windows;
pub(crate) use zone::{Occurrence, Zone};
