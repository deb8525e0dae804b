#!/usr/bin/env python3
"""Writes slots.txt and retention.txt: what Holdfast's schedules and retention must come to, worked out another way.

Run it in its own directory: python3 by_zoneinfo.py
It uses Python's zoneinfo over the system's time zone database and shares nothing with the crate: slots are found by walking
through every minute of the year in UTC and looking at the clock on the wall; retention is found by walking through time,
slot after slot, and counting. The files were written with Python 3.11 and tzdata 2025b.
"""

from datetime import datetime, timedelta, timezone, date
from zoneinfo import ZoneInfo

UTC = timezone.utc
MINUTE = timedelta(minutes=1)

# The clock changes of each of these years: Berlin 02:00-03:00 and back, New York likewise on other days, Lord Howe by half an
# hour on the southern hemisphere, Beirut at midnight, Apia left out 30 December 2011 altogether.
YEARS = [
    ("Europe/Berlin", 2027),
    ("America/New_York", 2027),
    ("Australia/Lord_Howe", 2027),
    ("Asia/Beirut", 2027),
    ("Pacific/Apia", 2011),
    ("UTC", 2028),
]


def hhmm(text):
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def every(minutes, start="00:00", end="24:00"):
    return list(range(hhmm(start), hhmm(end), minutes))


def last_day(day):
    return (day + timedelta(days=1)).month != day.month


SCHEDULES = {
    "nightly": lambda day: [hhmm("02:30")],
    "midnight": lambda day: [hhmm("00:00"), hhmm("00:30")],
    "hourly": lambda day: every(60),
    "quarters": lambda day: every(15, "01:00", "04:00"),
    "weekdays": lambda day: [hhmm("01:45"), hhmm("13:00")] if day.weekday() < 5 else [],
    "monthly": lambda day: [hhmm("02:00")] if day.day in (1, 15) or last_day(day) else [],
    "last_sunday": lambda day: [hhmm("02:15")] if day.weekday() == 6 and (day + timedelta(days=7)).month != day.month else [],
}


def wall_of_year(zone, year):
    """Every minute from two days before the year to two days after it: (instant, wall)."""
    instant = datetime(year, 1, 1, tzinfo=UTC) - timedelta(days=2)
    end = datetime(year + 1, 1, 1, tzinfo=UTC) + timedelta(days=2)
    minutes = []
    while instant < end:
        minutes.append((instant, instant.astimezone(zone).replace(tzinfo=None)))
        instant += MINUTE
    return minutes


def gaps_and_first(minutes):
    """First instant of each wall minute, and for each gap: wall minutes left out and the instant after it."""
    first, gaps = {}, []
    for place, (instant, wall) in enumerate(minutes):
        first.setdefault(wall, instant)
        if place and wall - minutes[place - 1][1] > MINUTE:
            gaps.append((minutes[place - 1][1] + MINUTE, wall, instant))
    return first, gaps


def slots(schedule, year, first, gaps):
    found = {}
    day = date(year, 1, 1)
    while day.year == year:
        for minute in schedule(day):
            wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)
            due = first.get(wall)
            if due is None:
                due = next(after for begin, end, after in gaps if begin <= wall < end)
            found.setdefault(due, wall)
        day += timedelta(days=1)
    return sorted(found.items())


def epoch_minutes(instant):
    return int(instant.timestamp()) // 60


def runs(instants):
    """Instants as runs of equal steps: first+step*count, in minutes since 1970."""
    numbers = [epoch_minutes(instant) for instant in instants]
    texts, place = [], 0
    while place < len(numbers):
        end = place + 1
        step = numbers[end] - numbers[place] if end < len(numbers) else 0
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        texts.append(f"{numbers[place]}+{step}*{end - place}")
        place = end
    return texts


def write_slots():
    with open("slots.txt", "w", encoding="ascii") as out:
        out.write("# Written by by_zoneinfo.py: zone, year, schedule, slots as first+step*count in minutes since 1970.\n")
        for name, year in YEARS:
            first, gaps = gaps_and_first(wall_of_year(ZoneInfo(name), year))
            for schedule, times in SCHEDULES.items():
                found = [due for due, _ in slots(times, year, first, gaps)]
                out.write(f"{name} {year} {schedule} {' '.join(runs(found))}\n")


# ---- retention -------------------------------------------------------------------------------------------------------

RULES = [
    ("daily", lambda wall: wall.date()),
    ("weekly", lambda wall: wall.isocalendar()[:2]),
    ("monthly", lambda wall: (wall.year, wall.month)),
    ("yearly", lambda wall: wall.year),
]


def kept(points, counts, recent, floor, now):
    """Points are (due, wall) of successful runs, one a slot, up to now. Which of them live at now?"""
    alive = set(due for due, _ in points[-floor:])
    days = []
    for due, wall in points:
        if not days or days[-1][0] != wall.date():
            days.append((wall.date(), []))
        days[-1][1].append((due, wall))
    # Recent: of the day that is `recent` scheduled days back, those that are later in the day than the newest point.
    newest = points[-1][1]
    for back, (_, of_day) in enumerate(reversed(days)):
        for due, wall in of_day:
            if back < recent or (back == recent and wall.time() > newest.time()):
                alive.add(due)
    # The others: the first point of each of the newest so many periods.
    for rule, period in RULES:
        firsts = {}
        for due, wall in points:
            firsts.setdefault(period(wall), due)
        newest_first = list(firsts.values())[::-1]
        alive.update(newest_first[: counts[rule]])
    return sorted(alive)


def write_retention():
    cases = [
        ("nightly", dict(daily=7, weekly=4, monthly=6, yearly=2), 1, 1),
        ("hourly", dict(daily=5, weekly=3, monthly=2, yearly=0), 2, 3),
        ("weekdays", dict(daily=10, weekly=0, monthly=3, yearly=1), 3, 5),
        ("monthly", dict(daily=3, weekly=5, monthly=4, yearly=1), 1, 2),
    ]
    with open("retention.txt", "w", encoding="ascii") as out:
        out.write("# Written by by_zoneinfo.py: zone, year, schedule, daily, weekly, monthly, yearly, recent, floor, now, and the points\n")
        out.write("# that live then, one made at each slot of the year up to now, as first+step*count in minutes since 1970.\n")
        for name, year in YEARS[:4]:
            first, gaps = gaps_and_first(wall_of_year(ZoneInfo(name), year))
            for schedule, counts, recent, floor in cases:
                found = slots(SCHEDULES[schedule], year, first, gaps)
                for part in (0.02, 0.2, 0.24, 0.27, 0.5, 0.77, 0.83, 0.99):
                    points = found[: max(1, int(len(found) * part))]
                    now = points[-1][0]
                    numbers = " ".join(str(counts[rule]) for rule, _ in RULES)
                    alive = " ".join(runs(kept(points, counts, recent, floor, now)))
                    out.write(f"{name} {year} {schedule} {numbers} {recent} {floor} {epoch_minutes(now)} {alive}\n")


write_slots()
write_retention()
