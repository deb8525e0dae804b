//! The command, driven as a user drives it: the real binary, real files, a vault in a directory.

#![allow(clippy::unwrap_used)]

mod agent_bounds;
mod agent_clock;
mod agent_doctor;
mod agent_impact;
mod agent_runs;
mod damage;
mod enrolment;
mod full_disk;
mod guidance;
mod hints;
mod kill;
mod login;
mod machine;
mod many_agents;
mod memory;
mod protected;
mod recovery;
mod round_trip;
mod secrets;
mod service;
mod service_process;
mod site;
mod storm;
mod threat_model;
