"""Template tags of the console: icons, badges, times and people in words."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from django import template
from django.template import Engine, RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from messaging import wording
from messaging.company import windows
from messaging.console.filters import MOST_COUNTED
from messaging.console.paging import Page
from messaging.console.presentation.audit import done_by
from messaging.console.presentation.bulk import RESULT_WORDS
from messaging.console.presentation.message import next_try, tries_so_far
from messaging.console.presentation.pause import pause_ended
from messaging.console.presentation.reply import STAGE_WORDS, said, said_to
from messaging.console.presentation.settings import sending_account, setting_value
from messaging.intake import addresses
from messaging.models import Message, ScheduleRun
from messaging.notices import relevance, text
from messaging.setup.fields import LABELS

register = template.Library()

register.filter("words", wording.in_words)
register.filter("advice", wording.advice)
register.filter("changes", wording.changes_in_words)
register.filter("said", said)
register.filter("said_to", said_to)
register.filter("what_of", text.what_of)
register.filter("why_of", text.why_of)
register.filter("is_so", relevance.is_so)
register.filter("person", wording.person)
register.filter("sending_account", sending_account)
register.filter("moment", wording.moment)
register.filter("next_try", next_try)
register.filter("tries_so_far", tries_so_far)
register.filter("pause_ended", pause_ended)
register.filter("at", wording.at)
register.filter("by_whom", wording.by_whom)
register.filter("paused_by", wording.paused_by)
register.filter("ended_by", wording.ended_by)
register.filter("pause_banner", wording.banner)
register.filter("pause_state", wording.state)
register.filter("pause_waits", wording.waits)
register.filter("setting_value", setting_value)
register.filter("done_by", done_by)
register.filter("wrong_fields", lambda form: [field for field in form if field.errors])


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str, label: str = "") -> SafeString:
    """A 16 px icon of the sprite; decoration unless it has a label."""
    href = f"{static('icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><title>{}</title><use href="{}"/></svg>', label, label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"/></svg>', href)


@register.simple_tag(takes_context=True)
def menu(context: RequestContext) -> str:
    """What a person may open. It stands on each page twice, beside the content and folded, and is made once."""
    return Engine.get_default().get_template("parts/_menu.html").render(context) if context["role"].may_view else ""


@register.simple_tag
@cache
def time_zones() -> SafeString:
    """What a field with the list `time-zones` offers: hundreds of names, the same on each page."""
    options = format_html_join("", '<option value="{}"></option>', ((name,) for name in windows.zone_names()))
    return format_html('<datalist id="time-zones">{}</datalist>', options)


@register.inclusion_tag("parts/_part_pages.html", takes_context=True)
def part_pages(
    context: RequestContext, page: Page[Any], what: str, name: str, part: str, before: str, after: str
) -> dict[str, Any]:
    """Leads through a part of a page that has pages of its own, by the `name` in the query; the others stay.

    A page that answers a form says what its own address is: `here`, with the query `given`.
    """

    def to(number: int) -> str:
        query = (context.get("given") or context["request"].GET).copy()
        query[name] = str(number)
        return f"{context.get('here', '')}?{query.urlencode()}#{part}"

    return {"page": page, "what": what, "before": before, "after": after} | {
        "back": to(page.number - 1),
        "on": to(page.number + 1),
    }


@register.simple_tag
def badge(name: str, label: str = "") -> SafeString:
    """A status or result as icon and word; the colour only repeats it."""
    text = label or dict(Message.Status.choices).get(name) or RESULT_WORDS.get(name, name)
    return format_html('<span class="badge-status is-{}">{}<span>{}</span></span>', name, icon(name), text)


@register.simple_tag
def when(value: datetime | None, nothing: str = "") -> SafeString | str:
    """A short time whose full date and zone are in its title."""
    if value is None:
        return nothing
    local = timezone.localtime(value)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        wording.dated(value, "l j F Y, H:i:s T"),
        wording.moment(value),
    )


@register.simple_tag
def in_zone(value: datetime) -> SafeString:
    """A time that is to come, in the time zone that it carries: Wed 25 Nov 2026, 07:30 CET."""
    return format_html(
        '<time datetime="{}">{}</time>', value.isoformat(timespec="seconds"), f"{value:%a %-d %b %Y, %H:%M %Z}"
    )


OUTCOME_BADGES = {"batch": "sent", "nothing": "confirmed", "missed": "skipped", "refused": "failed", "": "sending"}


@register.simple_tag
def outcome_badge(run: ScheduleRun) -> SafeString:
    """What came of a schedule's run, as icon and word."""
    label = "Ran" if run.outcome == ScheduleRun.Outcome.BATCH else run.get_outcome_display()
    return badge(OUTCOME_BADGES[run.outcome], label or "Starting")


@register.simple_tag
def when_exactly(value: datetime | None) -> SafeString | str:
    """Date and time to the second."""
    if value is None:
        return ""
    local = timezone.localtime(value)
    return format_html(
        '<time datetime="{}">{}</time>', local.isoformat(timespec="milliseconds"), wording.dated(value, "j M Y, H:i:s")
    )


@register.filter
def counted(number: int) -> str:
    """A number of messages as MessageFilter counts them: 1,234, or 100,000+ where it stopped."""
    return f"{number:,}+" if number >= MOST_COUNTED else f"{number:,}"


@register.filter
def mailbox(header: str) -> str:
    """Who a From field names, as short as it can be told: the display name, or the address."""
    found = addresses.mailboxes(header)
    return (found[0].name or found[0].address if found else "") or header


@register.filter
def first_mailbox(recipients: str) -> str:
    """The first of a message's recipients (Message.recipients_text, maybe cut off), by name if there is one."""
    name, bracket, _ = recipients.partition(" <")
    return name if bracket and "@" not in name else recipients.partition(",")[0]


@register.filter
def results(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    """Counts by result as (name, word, number), those that are there."""
    return [(name, word, counts[name]) for name, word in RESULT_WORDS.items() if counts.get(name)]


@register.filter
def tallies(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    """The results a batch always shows, even none of them, then the others that are there."""
    always = ("sent", "failed", "unknown", "skipped", "retrying", "waiting")
    names = [*always, *(name for name in ("sending", "held", "cancelled") if counts[name])]
    return [(name, result_word(name), counts[name]) for name in names]


@register.filter
def result_word(name: str) -> str:
    """A batch item's result in words."""
    return RESULT_WORDS.get(name, name).lower()


@register.filter
def stage_word(stage: str) -> str:
    """How far the transaction got, with the command's name."""
    return STAGE_WORDS.get(stage, stage)


@register.filter
def tenth(percent: int) -> int:
    """Rounded down to a tenth of the way, so that progress is not read out every second."""
    return percent // 10 * 10


@register.filter
def unlocalised(number: float) -> str:
    """A number as SVG reads it, whatever the language."""
    return f"{number:g}"


@register.filter
def setting_name(name: str) -> str:
    """A setting as its form field is called."""
    return LABELS[name]
