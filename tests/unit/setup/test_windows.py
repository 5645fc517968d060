"""Sending windows (issue: the delivery engine, point 7): reading them, and when they open next."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.company.windows import WORDS, BadWindow, Span, next_opening, parse, problem, zone_named, zone_names

MONDAY = dt.date(2026, 3, 2)


def at(zone, day, time, fold=0):
    hour, minute = map(int, time.split(":"))
    return dt.datetime.combine(day, dt.time(hour, minute), ZoneInfo(zone)).replace(fold=fold)


def opens(text, zone, moment):
    """When the window opens next, on the clock of its zone; "open" while it is."""
    found = next_opening(text, zone, moment)
    return "open" if found is None else f"{found.astimezone(ZoneInfo(zone)):%a %d %H:%M}"


# --- Reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Mon 07:00-19:00", [Span(0, 420, 1140)]),
        ("mon-wed 7:00 - 9:30", [Span(0, 420, 570), Span(1, 420, 570), Span(2, 420, 570)]),
        ("Monday – Tuesday 07:00–09:00", [Span(0, 420, 540), Span(1, 420, 540)]),
        ("Sat-Mon 10:00-11:00", [Span(5, 600, 660), Span(6, 600, 660), Span(0, 600, 660)]),
        ("Tues 08:00-12:00, Sun 22:00-06:00", [Span(1, 480, 720), Span(6, 1320, 1800)]),
        ("daily 00:00-24:00", [Span(day, 0, 1440) for day in range(7)]),
        ("always", []),
        ("  ALWAYS ", []),
        ("", []),
    ],
)
def test_what_people_write_is_read(text, spans):
    assert list(parse(text)) == spans


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nine to five", "“nine to five” is not a sending window"),
        ("07:00-19:00", "is not a sending window"),
        ("Mon 7-19", "is not a sending window"),
        ("Mon, Tue 07:00-19:00", "“mon” is not a sending window"),
        ("Mon 07:00-19:00,", "“” is not a sending window"),
        ("Mon 07:00-07:00", "begins and ends at the same time"),
        ("Mon 07:60-19:00", "“07:60” is not a time of day"),
        ("Mon 07:00-24:01", "“24:01” is not a time of day"),
        ("Mon 99:00-24:00", "“99:00” is not a time of day"),
        ("Mo 07:00-19:00", "“mo” is not a day"),
        ("Monkey 07:00-19:00", "“monkey” is not a day"),
        ("Mon-Daily 07:00-19:00", "“daily” is not a day"),
        ("Mon ٠٧:٠٠-١٩:٠٠", "is not a sending window"),
        ("Mon 07:00-19:00\x00", "is not a sending window"),
    ],
)
def test_what_is_no_window_is_refused_with_what_to_write(text, words):
    with pytest.raises(BadWindow) as refused:
        parse(text)
    assert words in str(refused.value)
    assert "Mon-Fri 07:00-19:00, Sat 08:00-12:00" in str(refused.value)


WINDOW_LIKE = st.text(st.sampled_from("mondaysutefri -–:,0123456789ä\x00İ\n"), max_size=60)


@given(st.text(max_size=60) | WINDOW_LIKE)
def test_no_text_does_worse_than_to_be_refused(text):
    try:
        parse(text)
    except BadWindow as refused:
        assert refused.phrase == problem(text, "UTC")
        assert str(refused) == refused.phrase.render(WORDS)
    else:
        assert problem(text, "UTC") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Berlin", "Did you mean Europe/Berlin?"),
        ("europe/berlin", "Did you mean Europe/Berlin?"),
        ("Europe/Berln", "Europe/Berlin"),
        ("new york", "Did you mean America/New_York?"),
        ("qqq", "Write it like Europe/Berlin or UTC."),
        ("Europe", "is not a time zone"),
        ("../../etc/passwd", "is not a time zone"),
        ("/etc/localtime", "is not a time zone"),
        ("", "is not a time zone"),
        ("\x00", "is not a time zone"),
    ],
)
def test_unknown_time_zones_are_refused_with_what_is_like_them(name, words):
    with pytest.raises(BadWindow) as refused:
        zone_named(name)
    assert words in str(refused.value)


def test_every_offered_time_zone_can_be_chosen():
    assert {"UTC", "Europe/Berlin", "America/New_York"} <= set(zone_names())
    for name in zone_names():
        assert zone_named(name).key == name


# --- Opening ---------------------------------------------------------------------------------------

OFFICE = "Mon-Fri 07:00-19:00, Sat 08:00-12:00"


@pytest.mark.parametrize(
    ("text", "days", "time", "expected"),
    [
        (OFFICE, 0, "06:59", "Mon 02 07:00"),
        (OFFICE, 0, "07:00", "open"),
        (OFFICE, 0, "18:59", "open"),
        (OFFICE, 0, "19:00", "Tue 03 07:00"),
        (OFFICE, 4, "19:00", "Sat 07 08:00"),
        (OFFICE, 5, "12:00", "Mon 09 07:00"),
        (OFFICE, 6, "12:00", "Mon 09 07:00"),
        ("Mon 07:00-08:00", 0, "08:00", "Mon 09 07:00"),
        ("Mon 07:00-08:00", 1, "00:00", "Mon 09 07:00"),
        ("daily 22:00-06:00", 0, "21:59", "Mon 02 22:00"),
        ("daily 22:00-06:00", 0, "23:59", "open"),
        ("daily 22:00-06:00", 1, "05:59", "open"),
        ("daily 22:00-06:00", 1, "06:00", "Tue 03 22:00"),
        ("Sun 22:00-06:00", 0, "05:59", "open"),  # since Sunday
        ("Sun 22:00-06:00", 0, "06:00", "Sun 08 22:00"),
        ("Mon 07:00-09:00, Mon 08:00-10:00", 0, "09:30", "open"),
        ("daily 00:00-24:00", 3, "00:00", "open"),
        ("always", 6, "03:00", "open"),
        ("", 6, "03:00", "open"),
    ],
)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC"])
def test_window_is_open_within_its_spans_and_says_when_it_opens(text, days, time, expected, zone):
    moment = at(zone, MONDAY + dt.timedelta(days), time)
    assert opens(text, zone, moment) == expected
    assert opens(text, zone, moment.astimezone(dt.UTC)) == expected


BERLIN_FORWARD, BERLIN_BACK = dt.date(2026, 3, 29), dt.date(2026, 10, 25)
NEW_YORK_FORWARD, NEW_YORK_BACK = dt.date(2026, 3, 8), dt.date(2026, 11, 1)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("Europe/Berlin", BERLIN_FORWARD),
        ("Europe/Berlin", BERLIN_BACK),
        ("America/New_York", NEW_YORK_FORWARD),
        ("America/New_York", NEW_YORK_BACK),
    ],
)
def test_seven_is_seven_on_the_days_when_the_clocks_change(zone, day):
    evening = at(zone, day - dt.timedelta(1), "23:00")
    assert next_opening("daily 07:00-19:00", zone, evening) == at(zone, day, "07:00")
    assert next_opening("daily 07:00-19:00", zone, at(zone, day, "06:59")) == at(zone, day, "07:00")
    assert next_opening("daily 07:00-19:00", zone, at(zone, day, "18:59")) is None
    assert next_opening("daily 07:00-19:00", zone, at(zone, day, "19:00")) is not None


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", BERLIN_FORWARD), ("America/New_York", NEW_YORK_FORWARD)])
def test_night_of_the_short_day_ends_when_the_clock_says_so(zone, day):
    night = "daily 22:00-06:00"
    begin = at(zone, day - dt.timedelta(1), "22:00").astimezone(dt.UTC)
    assert next_opening(night, zone, begin + dt.timedelta(hours=6, minutes=59)) is None
    assert next_opening(night, zone, begin + dt.timedelta(hours=7)) == at(zone, day, "22:00")


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", BERLIN_BACK), ("America/New_York", NEW_YORK_BACK)])
def test_night_of_the_long_day_ends_when_the_clock_says_so(zone, day):
    night = "daily 22:00-06:00"
    begin = at(zone, day - dt.timedelta(1), "22:00").astimezone(dt.UTC)
    assert next_opening(night, zone, begin + dt.timedelta(hours=8, minutes=59)) is None
    assert next_opening(night, zone, begin + dt.timedelta(hours=9)) == at(zone, day, "22:00")


@pytest.mark.parametrize(
    ("text", "zone"), [("nine to five", "UTC"), (OFFICE, "Atlantis/Centre"), (OFFICE, ""), (OFFICE, "../x")]
)
def test_window_that_cannot_be_read_crashes_nobody_and_is_a_problem(text, zone):
    assert next_opening(text, zone, at("UTC", MONDAY, "03:00")) is None
    assert problem(text, zone)


def test_zone_of_a_window_that_is_always_open_does_not_matter():
    assert problem("always", "Atlantis/Centre") is None


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOCK = st.integers(0, 1439).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}")
SPANS = st.tuples(st.sampled_from(DAYS), CLOCK, CLOCK).filter(lambda span: span[1] != span[2])
WINDOWS = st.lists(SPANS, min_size=1, max_size=4)
MOMENTS = st.integers(1_577_836_800, 1_893_456_000).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))


def minute_of_week(moment):
    return (moment.weekday() * 24 + moment.hour) * 60 + moment.minute


def is_inside(window, moment):
    """Told in another way than windows.py does: by the minutes of the week that each span covers."""
    week, now = 7 * 1440, minute_of_week(moment)
    for day, start, end in window:
        begin, length = DAYS.index(day) * 1440 + _minutes(start), (_minutes(end) - _minutes(start)) % 1440
        if (now - begin) % week < length:
            return True
    return False


def _minutes(text):
    return int(text[:2]) * 60 + int(text[3:])


@given(WINDOWS, MOMENTS)
def test_nothing_is_to_be_waited_for_exactly_inside_a_span(window, moment):
    text = ", ".join(f"{day} {start}-{end}" for day, start, end in window)
    opening = next_opening(text, "UTC", moment)
    assert (opening is None) == is_inside(window, moment)
    if opening is not None:
        assert moment < opening <= moment + dt.timedelta(days=7)
        assert is_inside(window, opening)
        assert next_opening(text, "UTC", opening) is None
        assert next_opening(text, "UTC", opening - dt.timedelta(microseconds=1)) == opening
        beginnings = [(DAYS.index(day) * 1440 + _minutes(start) - minute_of_week(moment)) % (7 * 1440)
                      for day, start, _ in window]  # fmt: skip
        assert opening == moment.replace(second=0, microsecond=0) + dt.timedelta(minutes=min(beginnings))


@given(WINDOWS, MOMENTS, st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]))
def test_opening_is_ahead_and_open_whatever_the_clocks_do(window, moment, zone):
    text = ", ".join(f"{day} {start}-{end}" for day, start, end in window)
    opening = next_opening(text, zone, moment)
    assert opening is None or moment < opening <= moment + dt.timedelta(days=8)
