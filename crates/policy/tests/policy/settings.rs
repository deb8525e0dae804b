//! What can be written, what is refused, and what is said about it.

use crate::fixture::{daily_at, every, settings, time, window};
use policy::{
    BandwidthSettings, Days, Hook, HookFailure, HookSettings, ImpactLevel, ImpactSettings, Kind, OnBattery, Policy, PolicyError,
    PolicySettings, RetentionSettings, RetrySettings, Schedule, TimeOfDay, Times, Week, Weekday, WindowSettings, limits,
};
use proptest::prelude::*;

const FULL: &str = r#"
schema = "holdfast.policy/1"
name = "Servers, every night"
time_zone = "Europe/Berlin"
objective_minutes = 1560
spread_minutes = 20

[[schedules]]
days = "daily"
times = { at = ["22:00"] }

[[schedules]]
days = { weekly = ["monday", "friday"] }
times = { every = { minutes = 60, from = "08:00", until = "18:00" } }

[[schedules]]
days = { monthly = [1, 31] }
times = { at = ["06:00"] }

[[schedules]]
days = { monthly_weekday = { week = "first", weekday = "sunday" } }
times = { at = ["12:00"] }

[windows]
open = [{ from = "20:00", until = "06:00" }, { weekdays = ["saturday", "sunday"], from = "00:00", until = "24:00" }]
at_end = "stop"

[bandwidth]
office_hours = [{ weekdays = ["monday", "tuesday"], from = "08:00", until = "18:00" }]
inside_bytes_per_second = 1048576
outside_bytes_per_second = 104857600

[impact]
processor = "low"
disk = "idle"
reads_per_second = 300
on_battery = "pause"

[retries]
count = 5
wait_minutes = 10
wait_minutes_max = 120

[hooks]
before = { command = ["/usr/local/bin/freeze", "--all"], timeout_seconds = 60 }
after = { command = ["/usr/local/bin/thaw"], timeout_seconds = 30, on_failure = "warn" }

[retention]
recent_days = 3
daily = 30
weekly = 12
monthly = 24
yearly = 7
floor = 5
on_demand_days = 60
minimum_days = 2
soft_delete_days = 21
review_percent = 10
"#;

const SMALL: &str = "schema = \"holdfast.policy/1\"\nname = \"small\"\ntime_zone = \"UTC\"\n";

fn problems(change: impl FnOnce(&mut PolicySettings)) -> String {
    let mut changed = settings("UTC", vec![daily_at(&["22:00"])]);
    change(&mut changed);
    match Policy::new(changed) {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Invalid);
            assert!(!error.problems().is_empty());
            error.to_string()
        }
    }
}

#[test]
fn everything_that_can_be_said_survives_toml_and_json() {
    let policy = Policy::from_toml(FULL).unwrap();
    let settings = policy.settings();
    assert_eq!(settings.schedules.len(), 4);
    assert_eq!(settings.schedules[3].days, Days::MonthlyWeekday { week: Week::First, weekday: Weekday::Sunday });
    assert_eq!(settings.hooks.after.as_ref().unwrap().on_failure, HookFailure::Warn);
    assert_eq!(settings.hooks.before.as_ref().unwrap().on_failure, HookFailure::Fail);
    let impact = ImpactSettings {
        processor: ImpactLevel::Low,
        disk: ImpactLevel::Idle,
        reads_per_second: Some(300),
        on_battery: OnBattery::Pause,
    };
    assert_eq!(settings.impact, impact);
    assert_eq!(settings.windows.open[0], window(&[], "20:00", "06:00"));
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(Policy::from_json(&json).unwrap(), policy);
    let toml = toml::to_string(&policy).unwrap();
    assert_eq!(Policy::from_toml(&toml).unwrap(), policy);
    assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
}

#[test]
fn the_policy_of_the_documentation_holds_and_gives_the_defaults_that_it_says() {
    let document = include_str!("../../../../docs/policies.md");
    let (_, rest) = document.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let policy = Policy::from_toml(example).unwrap();
    let defaults = PolicySettings::new("defaults", "UTC");
    assert_eq!(policy.settings().retention, RetentionSettings { yearly: 3, ..defaults.retention });
    assert_eq!(policy.settings().retries, defaults.retries);
    let times = policy.slots_between("2027-08-05T22:00:00Z".parse().unwrap(), "2027-08-06T22:00:00Z".parse().unwrap());
    let times: Vec<String> = times.map(|slot| slot.time.to_string()).collect();
    assert_eq!(times, ["08:00", "12:00", "16:00", "22:00"]);
}

#[test]
fn what_is_not_said_has_a_default() {
    let policy = Policy::from_toml(SMALL).unwrap();
    assert_eq!(policy.settings(), &PolicySettings::new("small", "UTC"));
    assert_eq!(policy.settings().retention.floor, 3);
}

#[test]
fn a_field_that_is_not_known_is_refused_wherever_it_stands() {
    for line in [
        "colour = 1",
        "[retention]\ndayly = 7",
        "[windows]\nclosed = []",
        "[bandwidth]\nlimit = 1",
        "[impact]\nnetwork = \"low\"",
        "[impact]\nprocessor = \"high\"",
        "[impact]\non_battery = \"stop\"",
        "[retries]\nretry = 1",
        "[hooks]\nduring = 1",
    ] {
        let refused = Policy::from_toml(&format!("{SMALL}{line}\n")).unwrap_err();
        assert!(matches!(refused, PolicyError::Toml(_)), "{line}: {refused}");
    }
    for schedule in [
        "days = \"daily\"\ntimes = { at = [\"22:00\"] }\nzone = 1",
        "days = \"hourly\"\ntimes = { at = [\"22:00\"] }",
        "days = { monthly_weekday = { week = \"first\", weekday = \"sunday\", month = 1 } }\ntimes = { at = [\"22:00\"] }",
        "days = \"daily\"\ntimes = { every = { minutes = 60, from = \"00:00\", until = \"24:00\", to = 1 } }",
        "days = \"daily\"\ntimes = { at = [\"25:00\"] }",
    ] {
        assert!(Policy::from_toml(&format!("{SMALL}[[schedules]]\n{schedule}\n")).is_err(), "{schedule}");
    }
}

#[test]
fn a_newer_schema_is_named_before_anything_else_is_wrong() {
    let newer = SMALL.replace("policy/1", "policy/2") + "colour = 1\n";
    let refused = Policy::from_toml(&newer).unwrap_err();
    assert_eq!(refused.to_string(), "the policy is of schema \"holdfast.policy/2\", this program knows \"holdfast.policy/1\"");
    let refused = Policy::from_json(r#"{"schema": "holdfast.policy/2", "colour": 1}"#).unwrap_err();
    assert!(matches!(refused, PolicyError::Schema { .. }));
    assert!(Policy::from_json("{}").is_err());
}

#[test]
fn a_text_that_is_longer_than_any_policy_is_not_read() {
    let long = " ".repeat(limits::POLICY_BYTES_MAX + 1);
    assert!(matches!(Policy::from_json(&long), Err(PolicyError::TooLong { .. })));
    assert!(matches!(Policy::from_toml(&long), Err(PolicyError::TooLong { .. })));
}

#[test]
fn times_of_day_are_four_digits_and_a_colon() {
    assert_eq!(time("09:05").minutes(), 545);
    assert_eq!(time("24:00"), TimeOfDay::END);
    assert_eq!(time("09:05").to_string(), "09:05");
    for bad in ["", "9:05", "09:5", "09:60", "24:01", "25:00", "-1:00", "09-05", "09:05:00", "0９:05", " 09:05", "+9:05"] {
        assert!(bad.parse::<TimeOfDay>().is_err(), "{bad}");
    }
}

#[test]
fn every_problem_is_named_with_its_place() {
    let refused = problems(|settings| {
        settings.name = String::new();
        settings.time_zone = "Europe/Atlantis".to_owned();
        settings.schedules[0].times = Times::At(Vec::new());
        settings.retention.floor = 0;
    });
    for place in [
        "name: ",
        "time_zone: \"Europe/Atlantis\"",
        "schedules[0].times: has 0 entries",
        "retention.floor: 0 is not within 1 to 1000",
    ] {
        assert!(refused.contains(place), "{place} is not in {refused}");
    }
}

#[test]
fn names_and_zones_are_checked() {
    assert!(problems(|settings| settings.name = "a".repeat(65)).contains("name: 65"));
    assert!(problems(|settings| settings.name = " a".to_owned()).contains("name"));
    assert!(problems(|settings| settings.name = "a\nb".to_owned()).contains("name"));
    assert!(problems(|settings| settings.schema = "x".to_owned()).contains("schema"));
    for zone in ["", "Nowhere", "../../etc/passwd", "Europe/Berlin\0"] {
        assert!(problems(|settings| settings.time_zone = zone.to_owned()).contains("time_zone"), "{zone}");
    }
    assert!(problems(|settings| settings.time_zone = "x".repeat(10_000)).len() < 300);
}

#[test]
fn schedules_are_checked() {
    let with = |schedule: Schedule| problems(move |settings| settings.schedules = vec![schedule]);
    let days = |days| with(Schedule { days, ..daily_at(&["22:00"]) });
    assert!(days(Days::Weekly(Vec::new())).contains("schedules[0].days"));
    assert!(days(Days::Weekly(vec![Weekday::Monday, Weekday::Monday])).contains("twice"));
    assert!(days(Days::Monthly(vec![0])).contains("0 is not within 1 to 31"));
    assert!(days(Days::Monthly(vec![32])).contains("32 is not within"));
    assert!(days(Days::Monthly(vec![1; 1000])).contains("1000 entries"));
    assert!(with(daily_at(&["24:00"])).contains("no beginning"));
    assert!(with(daily_at(&["22:00", "22:00"])).contains("twice"));
    assert!(with(every(4)).contains("4 is not within 5 to 720"));
    let turned = Times::Every { minutes: 60, from: time("18:00"), until: time("08:00") };
    assert!(with(Schedule { days: Days::Daily, times: turned }).contains("18:00 is not before until 08:00"));
    assert!(problems(|settings| settings.schedules = vec![daily_at(&["22:00"]); 17]).contains("17 entries"));
    let minute_apart = |first: u16| Schedule {
        days: Days::Daily,
        times: Times::Every { minutes: 5, from: time(&format!("00:{first:02}")), until: TimeOfDay::END },
    };
    assert!(problems(|settings| settings.schedules = vec![minute_apart(0), minute_apart(1)]).contains("different times of day"));
    assert_eq!(problems(|settings| settings.schedules = vec![minute_apart(0), minute_apart(0)]), "");
}

#[test]
fn windows_and_bandwidth_are_checked() {
    let with =
        |window| problems(move |settings| settings.windows = WindowSettings { open: vec![window], ..WindowSettings::default() });
    assert!(with(window(&[], "08:00", "08:00")).contains("windows.open[0]: begins and ends at the same time"));
    assert!(with(window(&[], "24:00", "08:00")).contains("windows.open[0].from"));
    assert!(with(window(&[Weekday::Monday, Weekday::Monday], "08:00", "09:00")).contains("twice"));
    let bandwidth = |bandwidth| problems(move |settings| settings.bandwidth = bandwidth);
    let inside = BandwidthSettings { inside_bytes_per_second: Some(1 << 20), ..BandwidthSettings::default() };
    assert!(bandwidth(inside).contains("there are none"));
    let slow = BandwidthSettings { outside_bytes_per_second: Some(0), ..BandwidthSettings::default() };
    assert!(bandwidth(slow).contains("bandwidth.outside_bytes_per_second: 0 is not within"));
    let many = BandwidthSettings { office_hours: vec![window(&[], "08:00", "09:00"); 33], ..BandwidthSettings::default() };
    assert!(bandwidth(many).contains("33 entries"));
}

#[test]
fn impact_is_checked() {
    let reads = |limit| {
        let impact = ImpactSettings { reads_per_second: Some(limit), ..ImpactSettings::default() };
        problems(move |settings| settings.impact = impact)
    };
    assert!(reads(0).contains("impact.reads_per_second: 0 is not within 10 to 1000000"));
    assert!(reads(9).contains("impact.reads_per_second: 9") && reads(1_000_001).contains("impact.reads_per_second"));
    assert_eq!((reads(10), reads(1_000_000)), (String::new(), String::new()));
}

#[test]
fn a_policy_without_impact_is_written_as_by_programs_that_know_none() {
    let quiet = PolicySettings::new("quiet", "UTC");
    assert!(!serde_json::to_string(&quiet).unwrap().contains("impact"));
    let impact = ImpactSettings { on_battery: OnBattery::Pause, ..ImpactSettings::default() };
    let paused = serde_json::to_string(&PolicySettings { impact, ..quiet }).unwrap();
    assert!(paused.contains(r#""impact":{"processor":"normal","disk":"normal","on_battery":"pause"}"#), "{paused}");
}

#[test]
fn retries_hooks_and_retention_are_checked() {
    let retries = |retries| problems(move |settings| settings.retries = retries);
    assert!(retries(RetrySettings { count: 21, ..RetrySettings::default() }).contains("retries.count"));
    assert!(retries(RetrySettings { wait_minutes: 0, ..RetrySettings::default() }).contains("retries.wait_minutes"));
    assert!(retries(RetrySettings { wait_minutes: 61, ..RetrySettings::default() }).contains("greater than wait_minutes_max"));
    let hook = |command: Vec<String>, timeout_seconds| {
        let before = Some(Hook { command, timeout_seconds, on_failure: HookFailure::Fail });
        problems(move |settings| settings.hooks = HookSettings { before, after: None })
    };
    assert!(hook(Vec::new(), 1).contains("hooks.before.command: has 0 entries"));
    assert!(hook(vec![String::new()], 1).contains("names no program"));
    assert!(hook(vec!["a\0".to_owned()], 1).contains("zero byte"));
    assert!(hook(vec!["a".repeat(4097)], 1).contains("4097"));
    assert!(hook(vec!["a".to_owned()], 0).contains("hooks.before.timeout_seconds"));
    let retention = |change: fn(&mut RetentionSettings)| problems(move |settings| change(&mut settings.retention));
    assert!(retention(|retention| retention.recent_days = 0).contains("retention.recent_days"));
    assert!(retention(|retention| retention.daily = 1001).contains("retention.daily"));
    assert!(retention(|retention| retention.weekly = 521).contains("retention.weekly"));
    assert!(retention(|retention| retention.monthly = 241).contains("retention.monthly"));
    assert!(retention(|retention| retention.yearly = 101).contains("retention.yearly"));
    assert!(retention(|retention| retention.on_demand_days = 0).contains("retention.on_demand_days"));
    assert!(retention(|retention| retention.minimum_days = 1001).contains("retention.minimum_days"));
    assert!(retention(|retention| retention.soft_delete_days = 0).contains("retention.soft_delete_days"));
    assert!(retention(|retention| retention.review_percent = 0).contains("retention.review_percent"));
    assert!(retention(|retention| retention.review_percent = 101).contains("retention.review_percent"));
    assert!(problems(|settings| settings.spread_minutes = 241).contains("spread_minutes"));
}

#[test]
fn an_objective_that_the_schedules_cannot_meet_is_refused() {
    let with = |minutes, schedules| {
        problems(move |settings| {
            settings.objective_minutes = Some(minutes);
            settings.schedules = schedules;
        })
    };
    assert_eq!(with(24 * 60, vec![daily_at(&["22:00"])]), "");
    assert!(with(24 * 60 - 1, vec![daily_at(&["22:00"])]).contains("1439 is less than the 1440 minutes"));
    let monday = Schedule { days: Days::Weekly(vec![Weekday::Monday]), ..daily_at(&["22:00"]) };
    assert!(with(24 * 60, vec![monday]).contains("10080 minutes"));
    let monthly = Schedule { days: Days::Monthly(vec![31]), ..daily_at(&["22:00"]) };
    assert!(with(30 * 24 * 60, vec![monthly.clone()]).contains("44640 minutes"));
    assert_eq!(with(31 * 24 * 60, vec![monthly]), "");
    assert!(with(0, Vec::new()).contains("objective_minutes: 0"));
    assert_eq!(with(60, Vec::new()), "");
}

#[test]
fn a_hostile_policy_does_not_fill_the_error() {
    let refused = problems(|settings| {
        settings.schedules = vec![Schedule { days: Days::Monthly(vec![99; 31]), ..daily_at(&["24:00"]) }; 16]
    });
    assert!(refused.len() < 4096, "{}", refused.len());
}

proptest! {
    /// Any text at all is a policy or an error.
    #[test]
    fn no_text_panics(text in "\\PC{0,200}", place in 0..FULL.len(), cut in 0..40_usize) {
        let _ = Policy::from_json(&text);
        let _ = Policy::from_toml(&text);
        let mut changed = FULL.as_bytes().to_vec();
        let end = (place + cut).min(changed.len());
        changed.splice(place..end, text.bytes().take(8));
        if let Ok(changed) = String::from_utf8(changed) {
            let _ = Policy::from_toml(&changed);
        }
    }

    /// Any times of day read back as they were written.
    #[test]
    fn times_of_day_read_back(hour in 0..24_u8, minute in 0..60_u8) {
        let time = TimeOfDay::new(hour, minute).unwrap();
        prop_assert_eq!(time.to_string().parse::<TimeOfDay>().unwrap(), time);
    }
}
