"""When a schedule is due: wall clocks, days when they change, crontab expressions; an injected clock, no waiting."""

import datetime as dt
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.models import Schedule
from messaging.scheduling import timetable

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
ALL_DAYS = "0,1,2,3,4,5,6"


def daily(times, zone=BERLIN, days=ALL_DAYS):
    return timetable.of(Schedule(kind="times", times=times, days=days, time_zone=zone))


def every(minutes, zone=BERLIN):
    return timetable.of(Schedule(kind="every", minutes=minutes, time_zone=zone))


def crontab(text, zone=BERLIN):
    return timetable.of(Schedule(kind="crontab", crontab=text, time_zone=zone))


def runs(times, start, number):
    """The next ones after a wall-clock time of the zone, as wall-clock times with the offset."""
    after = dt.datetime.fromisoformat(start).replace(tzinfo=times.zone)
    return [
        f"{moment.astimezone(times.zone):%d %H:%M %Z}" for moment in islice(timetable.occurrences(times, after), number)
    ]


def test_times_with_different_minutes_on_weekdays():
    times = daily("07:30 and 17:00", days="1,2,3,4,5")
    assert runs(times, "2026-11-26 12:00", 4) == ["26 17:00 CET", "27 07:30 CET", "27 17:00 CET", "30 07:30 CET"]


def test_a_moment_itself_is_not_after_it():
    assert runs(daily("07:30"), "2026-11-26 07:30", 1) == ["27 07:30 CET"]


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        (BERLIN, "2026-03-28 12:00", ["29 03:00 CEST", "30 02:30 CEST"]),
        (NEW_YORK, "2026-03-07 12:00", ["08 03:00 EDT", "09 02:30 EDT"]),
    ],
)
def test_a_time_that_does_not_exist_comes_once_right_after_the_gap(zone, start, expected):
    assert runs(daily("02:30", zone), start, 2) == expected
    assert runs(daily("02:00, 02:30, 03:00", zone), start, 1) == expected[:1]
    assert runs(crontab("*/15 2 * * *", zone), start, 2) == [expected[0], expected[1].replace("02:30", "02:00")]


@pytest.mark.parametrize(
    ("zone", "start", "expected"),
    [
        (BERLIN, "2026-10-24 12:00", ["25 02:30 CEST", "26 02:30 CET"]),
        (NEW_YORK, "2026-10-31 12:00", ["01 01:30 EDT", "02 01:30 EST"]),
    ],
)
def test_a_time_that_comes_twice_counts_the_first_time(zone, start, expected):
    time = "02:30" if zone == BERLIN else "01:30"
    assert runs(daily(time, zone), start, 2) == expected
    assert runs(crontab(f"30 {int(time[:2])} * * *", zone), start, 2) == expected


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (NEW_YORK, "2026-03-08", 23),
        (NEW_YORK, "2026-11-01", 25),
    ],
)
def test_intervals_go_on_evenly_on_the_days_when_clocks_change(zone, day, hours):
    times = every(20, zone)
    start = dt.datetime.fromisoformat(day).replace(tzinfo=times.zone).astimezone(dt.UTC) - dt.timedelta(minutes=1)
    found = list(islice(timetable.occurrences(times, start), hours * 3 + 1))
    assert {later - sooner for sooner, later in pairwise(found)} == {dt.timedelta(minutes=20)}
    assert f"{found[-1].astimezone(times.zone):%H:%M}" == "00:00"


@pytest.mark.parametrize(("day", "runs_on_it"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_crontab_for_every_hour_runs_in_every_hour_that_there_is(day, runs_on_it):
    times = crontab("30 * * * *")
    start = dt.datetime.fromisoformat(day).replace(tzinfo=times.zone)
    found = list(islice(timetable.occurrences(times, start), runs_on_it))
    assert {later - sooner for sooner, later in pairwise(found)} == {dt.timedelta(hours=1)}
    assert f"{found[-1].astimezone(times.zone):%d %H:%M}" == f"{day[-2:]} 23:30"


def test_interval_counts_from_midnight_and_a_long_one_keeps_to_the_wall_clock():
    assert runs(every(50), "2026-11-26 23:00", 3) == ["26 23:20 CET", "27 00:00 CET", "27 00:50 CET"]
    assert runs(every(360), "2026-10-25 00:00", 4) == ["25 06:00 CET", "25 12:00 CET", "25 18:00 CET", "26 00:00 CET"]
    assert runs(every(1440), "2026-10-24 23:00", 2) == ["25 00:00 CEST", "26 00:00 CET"]


def test_a_day_that_a_zone_left_out_gives_one_run():
    times = daily("12:00", "Pacific/Apia")
    assert runs(times, "2011-12-29 11:00", 3) == ["29 12:00 -10", "31 00:00 +14", "31 12:00 +14"]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("30 7 * * 1-5", "2026-11-27 12:00", ["30 07:30 CET"]),
        ("30 7 * * mon-fri", "2026-11-27 12:00", ["30 07:30 CET"]),
        ("0 8-18/5 * * fri-sun", "2026-11-26 12:00", ["27 08:00 CET", "27 13:00 CET", "27 18:00 CET", "28 08:00 CET"]),
        ("0 0 * * 7", "2026-11-26 12:00", ["29 00:00 CET"]),
        ("0 0 1 jan,Feb *", "2026-11-26 12:00", ["01 00:00 CET", "01 00:00 CET"]),
        ("0 9 29 2 *", "2026-11-26 12:00", ["29 09:00 CET"]),
        ("0 9 1 * mon", "2026-11-27 12:00", ["30 09:00 CET", "01 09:00 CET", "07 09:00 CET"]),
        ("@daily", "2026-11-26 12:00", ["27 00:00 CET"]),
        # A field that begins with a star counts as one: both must hold (crontab(5); Vixie cron, cronie).
        ("0 9 */2 * 1", "2026-11-24 12:00", ["07 09:00 CET", "21 09:00 CET", "11 09:00 CET", "25 09:00 CET"]),
        ("0 9 13 * */5", "2026-11-24 12:00", ["13 09:00 CET", "13 09:00 CEST", "13 09:00 CEST"]),
        ("0 9 *,10 * 2", "2026-11-24 12:00", ["01 09:00 CET", "08 09:00 CET", "15 09:00 CET"]),
        ("0 9 10,* * 2", "2026-11-24 12:00", ["25 09:00 CET", "26 09:00 CET", "27 09:00 CET"]),
        ("0 9 1-31 * 2", "2026-11-24 12:00", ["25 09:00 CET", "26 09:00 CET"]),
        ("0 9 1-31/2 * 1", "2026-11-24 12:00", ["25 09:00 CET", "27 09:00 CET", "29 09:00 CET", "30 09:00 CET"]),
        ("0 9 L * *", "2026-11-24 12:00", ["30 09:00 CET", "31 09:00 CET", "31 09:00 CET", "28 09:00 CET"]),
        ("0 9 l 2 *", "2027-11-24 12:00", ["29 09:00 CET", "28 09:00 CET"]),
        ("0 9 LW * *", "2026-12-24 12:00", ["31 09:00 CET", "29 09:00 CET", "26 09:00 CET", "31 09:00 CEST"]),
        ("0 9 15,L * *", "2026-11-24 12:00", ["30 09:00 CET", "15 09:00 CET", "31 09:00 CET"]),
        ("0 9 L * 5", "2026-11-24 12:00", ["27 09:00 CET", "30 09:00 CET", "04 09:00 CET"]),
        ("0 9 L * */7", "2026-11-24 12:00", ["31 09:00 CET", "28 09:00 CET"]),
        ("30 2 L 3,10 *", "2024-03-01 12:00", ["31 03:00 CEST", "31 02:30 CET"]),
    ],
)
def test_crontab_expressions(text, start, expected):
    assert runs(crontab(text), start, len(expected)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "five parts"), ("* * * *", "This has 4"), ("* * * * * *", "This has 6"), ("@often", "This has 1"),
        ("60 * * * *", "“60” is not understood as the minute. Write numbers from 0 to 59"),
        ("0 24 * * *", "as the hour"), ("0 0 0 * *", "as the day of the month"), ("0 0 * 13 *", "as the month"),
        ("0 0 * * 8", "as the day of the week"), ("0 0 * * someday", "or names such as mon"),
        ("mon * * * *", "as the minute"), ("*/0 * * * *", "as the minute"), ("1- * * * *", "as the minute"),
        ("1,,2 * * * *", "as the minute"), ("² * * * *", "as the minute"), ("0 0 31 2,4 *", "This never runs"),
        ("0 0 31L * *", "L is the last day of the month, LW the last from Monday to Friday"),
        ("L 0 * * *", "as the minute"), ("0 0 * L *", "as the month"), ("0 0 * * 5L", "as the day of the week"),
        ("0 0 L-3 * *", "as the day of the month"), ("0 0 LW * */6", "This never runs"),
        ("0 0 5/2 * *", "as the day of the month"),
        ("0 0 * * mo", "or names such as mon"), ("* * * monkey *", "or names such as feb"),
    ],
)  # fmt: skip
def test_crontab_errors_in_plain_words(text, words):
    with pytest.raises(timetable.BadTimetable, match=words) as raised:
        crontab(text)
    assert raised.value.field == "crontab"


def test_latest_is_the_last_of_those_that_passed():
    times = daily("07:30, 17:00")
    at = lambda text: dt.datetime.fromisoformat(text).replace(tzinfo=times.zone)  # noqa: E731
    assert timetable.latest(times, at("2026-11-20 00:00"), at("2026-11-24 12:00")) == at("2026-11-24 07:30")
    assert timetable.latest(times, at("2026-11-24 07:30"), at("2026-11-24 12:00")) is None
    assert timetable.latest(times, at("2026-11-24 07:29"), at("2026-11-24 07:30")) == at("2026-11-24 07:30")


@pytest.mark.parametrize(
    ("days", "start", "expected", "words"),
    [
        ("L", "2027-12-01 00:00", ["31 18:00 CET", "31 18:00 CET", "29 18:00 CET"], "on the last day of the month"),
        ("LW", "2027-12-01 00:00", ["31 18:00 CET", "31 18:00 CET", "29 18:00 CET"], "on the last working day"),
        ("LW", "2027-01-01 00:00", ["29 18:00 CET", "26 18:00 CET", "31 18:00 CEST"], "on the last working day"),
        ("L", "2100-02-01 00:00", ["28 18:00 CET"], "on the last day of the month at 18:00"),
    ],
)
def test_end_of_the_month_at_fixed_times(days, start, expected, words):
    schedule = Schedule(kind="times", times="18:00", days=days, time_zone=BERLIN)
    assert runs(timetable.of(schedule), start, len(expected)) == expected
    assert timetable.in_words(schedule).startswith(words)


# --- Against the manual page ---------------------------------------------------------------------------

# crontab(5): numbers, ranges, steps through a range or *, lists; the first three letters of a name; 7 is Sunday. Where
# neither the date nor the weekday begins with *, it runs when either matches, otherwise when both do.
DAY_WORDS, MONTH_WORDS = (
    ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
)


@st.composite
def fields(draw, first, last, names=()):
    """What is written in a field, and the numbers it means."""
    items, numbers = [], set()
    for _ in range(draw(st.integers(1, 3))):
        low, high = sorted((draw(st.integers(first, last)), draw(st.integers(first, last))))
        write = (lambda n: names[n - first]) if names and draw(st.booleans()) and high - first < len(names) else str
        step = draw(st.integers(1, 12))
        text, found = draw(
            st.sampled_from(
                [
                    ("*", range(first, last + 1)),
                    (f"*/{step}", range(first, last + 1, step)),
                    (write(low), [low]),
                    (f"{write(low)}-{write(high)}", range(low, high + 1)),
                    (f"{write(low)}-{write(high)}/{step}", range(low, high + 1, step)),
                ]
            )
        )
        items.append(draw(st.sampled_from([str.lower, str.upper, str.title]))(text))
        numbers |= set(found)
    return ",".join(items), numbers


def moments(text, start, days):
    """When it is due from midnight on, for so many days."""
    midnight = dt.datetime.combine(start, dt.time(), dt.UTC)
    found = timetable.occurrences(crontab(text, "UTC"), midnight - dt.timedelta(seconds=1))
    return list(takewhile(lambda moment: moment < midnight + dt.timedelta(days=days), islice(found, 2000)))


DATES = st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1))


@given(date=fields(1, 31), month=fields(1, 12, MONTH_WORDS), day=fields(0, 7, DAY_WORDS), start=DATES)
def test_crontab_runs_on_the_days_that_the_manual_page_says(date, month, day, start):
    def is_on(when):
        on_date, on_day = when.day in date[1], bool({when.isoweekday(), when.isoweekday() % 7} & day[1])
        both = date[0].startswith("*") or day[0].startswith("*")
        return when.month in month[1] and ((on_date and on_day) if both else (on_date or on_day))

    try:
        found = moments(f"0 9 {date[0]} {month[0]} {day[0]}", start, 800)
    except timetable.BadTimetable:
        assert not any(is_on(dt.date(2000, 1, 1) + dt.timedelta(days=number)) for number in range(11_000))
        return
    assert [each.date() for each in found] == [
        each for each in (start + dt.timedelta(days=number) for number in range(800)) if is_on(each)
    ]


@given(minute=fields(0, 59), hour=fields(0, 23), start=DATES)
def test_crontab_runs_at_the_times_that_the_manual_page_says(minute, hour, start):
    found = [(each.hour, each.minute) for each in moments(f"{minute[0]} {hour[0]} * * *", start, 1)]
    assert found == sorted((h, m) for h in hour[1] for m in minute[1])


ZONES = st.sampled_from(
    [BERLIN, NEW_YORK, "UTC", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Asia/Kathmandu"]
)
STARTS = st.datetimes(dt.datetime.fromisoformat("2020-01-01"), dt.datetime.fromisoformat("2030-01-01"))
TIMES = st.sets(st.integers(0, 1439), min_size=1, max_size=4)


@given(zone=ZONES, start=STARTS, minutes=TIMES)
def test_daily_schedule_never_skips_a_day_nor_runs_twice_for_one_wall_clock_time(zone, start, minutes):
    times = daily(", ".join(timetable.times_in_words(sorted(minutes))), zone)
    after = start.replace(tzinfo=ZoneInfo(zone))
    found = list(islice(timetable.occurrences(times, after), 40))
    local = [moment.astimezone(times.zone) for moment in found]
    assert all(sooner < later for sooner, later in pairwise(found))
    walls = [moment.replace(tzinfo=None) for moment in local]
    assert len(set(walls)) == len(walls)
    days = sorted({wall.date() for wall in walls})
    assert all(later - sooner == dt.timedelta(days=1) for sooner, later in pairwise(days))
    assert timetable.latest(times, after, found[-1]) == found[-1]
    assert timetable.latest(times, found[0], found[1] - dt.timedelta(seconds=1)) is None


@given(zone=ZONES, start=STARTS, minutes=st.integers(1, 60))
def test_interval_is_never_late_and_begins_at_each_midnight(zone, start, minutes):
    times = every(minutes, zone)
    after = start.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    found = [after, *islice(timetable.occurrences(times, after), 100)]
    gaps = {later - sooner for sooner, later in pairwise(found)}
    assert max(gaps) <= dt.timedelta(minutes=minutes)
