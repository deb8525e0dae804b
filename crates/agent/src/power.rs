//! Whether the machine is on battery, as the kernel shows its power supplies.
//!
//! In doubt it is on mains: a machine that says nothing of itself is one that is always plugged in.

use std::fs;
use std::path::Path;

/// Where Linux shows power supplies, a directory each.
pub(crate) const SUPPLIES: &str = "/sys/class/power_supply";

/// Whether a battery of the machine gives its power away, and no supply from outside is there.
#[must_use]
pub fn is_on_battery(supplies: &Path) -> bool {
    let Ok(supplies) = fs::read_dir(supplies) else { return false };
    let mut discharges = false;
    for supply in supplies.flatten() {
        let word =
            |name: &str| fs::read_to_string(supply.path().join(name)).map(|text| text.trim().to_owned()).unwrap_or_default();
        // The battery of a mouse says nothing about the machine.
        if word("scope") == "Device" {
            continue;
        }
        match word("type").as_str() {
            "Battery" | "UPS" => discharges |= word("status") == "Discharging",
            // 1: it is there; 2: it is there, and is one of several that could be.
            kind if is_from_outside(kind) && matches!(word("online").as_str(), "1" | "2") => return false,
            _ => {}
        }
    }
    discharges
}

fn is_from_outside(kind: &str) -> bool {
    matches!(kind, "Mains" | "Wireless") || kind.starts_with("USB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn machine(supplies: &[(&str, &[(&str, &str)])]) -> bool {
        let directory = TempDir::new().unwrap();
        for (name, files) in supplies {
            fs::create_dir(directory.path().join(name)).unwrap();
            for (file, text) in *files {
                fs::write(directory.path().join(name).join(file), format!("{text}\n")).unwrap();
            }
        }
        is_on_battery(directory.path())
    }

    const DISCHARGING: (&str, &[(&str, &str)]) = ("BAT0", &[("type", "Battery"), ("status", "Discharging")]);
    const FULL: (&str, &[(&str, &str)]) = ("BAT0", &[("type", "Battery"), ("status", "Full")]);
    const UNPLUGGED: (&str, &[(&str, &str)]) = ("AC", &[("type", "Mains"), ("online", "0")]);
    const PLUGGED: (&str, &[(&str, &str)]) = ("AC", &[("type", "Mains"), ("online", "1")]);

    #[test]
    fn a_laptop_that_is_not_plugged_in_is_on_battery_and_one_that_is_is_not() {
        assert!(machine(&[UNPLUGGED, DISCHARGING]));
        assert!(machine(&[DISCHARGING]), "few have no supply that could be there");
        assert!(!machine(&[PLUGGED, FULL]));
        assert!(!machine(&[PLUGGED, DISCHARGING]), "a supply that is too weak is one all the same");
        let usb = ("ucsi-1", &[("type", "USB"), ("online", "1")][..]);
        assert!(!machine(&[UNPLUGGED, usb, DISCHARGING]));
        assert!(machine(&[("ucsi-1", &[("type", "USB_C"), ("online", "0")]), DISCHARGING]));
    }

    #[test]
    fn a_machine_without_a_battery_of_its_own_is_never_on_battery() {
        assert!(!machine(&[]));
        assert!(!machine(&[UNPLUGGED]));
        let mouse = ("mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")][..]);
        assert!(!machine(&[mouse]));
        assert!(machine(&[mouse, DISCHARGING]));
        assert!(!is_on_battery(Path::new("/nowhere")));
        assert!(!machine(&[("odd", &[])]));
    }
}
