//! Scheduling policy and disk priority of a thread: what the kernel has calls for and no crate of ours wraps.

#![allow(unsafe_code)]

use rustix::process::Pid;
use std::io;

/// Everybody else comes first.
pub(crate) const POLICY_IDLE: i32 = libc::SCHED_IDLE;

/// `ioprio_get(2)` and `ioprio_set(2)` are about a thread.
const WHO_THREAD: libc::c_int = 1;

/// The scheduling policy of a thread.
pub(crate) fn policy(thread: Pid) -> io::Result<i32> {
    // SAFETY: the call takes a number and touches no memory of ours. Not the wrapper of the C library: musl has none that works.
    answer(unsafe { libc::syscall(libc::SYS_sched_getscheduler, thread.as_raw_nonzero().get()) })
}

/// Sets the scheduling policy of a thread, one of those that have no priority of their own.
pub(crate) fn set_policy(thread: Pid, policy: i32) -> io::Result<()> {
    // SAFETY: all zeros is a value of this structure of numbers (musl has more fields than the kernel, which reads the first).
    let none: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the call reads the parameter, which lives until it is over, and touches no other memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_sched_setscheduler, thread.as_raw_nonzero().get(), policy, &raw const none) })
        .map(drop)
}

/// The disk priority of a thread: its class in the bits from 13 on, its level below. Zero: none of its own.
pub(crate) fn disk(thread: Pid) -> io::Result<i32> {
    // SAFETY: the call takes two numbers and touches no memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_ioprio_get, WHO_THREAD, thread.as_raw_nonzero().get()) })
}

/// Sets the disk priority of a thread.
pub(crate) fn set_disk(thread: Pid, priority: i32) -> io::Result<()> {
    // SAFETY: the call takes three numbers and touches no memory of ours.
    answer(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_THREAD, thread.as_raw_nonzero().get(), priority) }).map(drop)
}

fn answer(answer: libc::c_long) -> io::Result<i32> {
    i32::try_from(answer).ok().filter(|answer| *answer >= 0).ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::gettid;

    #[test]
    fn a_thread_has_the_disk_priority_that_it_was_given_and_a_way_back() {
        let ask = || {
            let (own, idle, last) = (gettid(), 3 << 13, (2 << 13) | 7);
            let usual = disk(own).unwrap();
            for wanted in [last, idle, last, usual] {
                set_disk(own, wanted).unwrap();
                assert_eq!(disk(own).unwrap(), wanted);
            }
        };
        std::thread::spawn(ask).join().unwrap();
    }

    #[test]
    fn a_thread_that_steps_back_is_last_and_what_cannot_be_is_an_error() {
        let ask = || {
            let own = gettid();
            assert_eq!(policy(own).unwrap(), libc::SCHED_OTHER);
            set_policy(own, POLICY_IDLE).unwrap();
            assert_eq!(policy(own).unwrap(), POLICY_IDLE);
            assert_eq!(set_policy(own, 77).unwrap_err().raw_os_error(), Some(libc::EINVAL));
            assert_eq!(set_disk(own, 7 << 13).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        };
        std::thread::spawn(ask).join().unwrap();
    }
}
