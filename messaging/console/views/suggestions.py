"""Past recipients, for the fields of a new message."""

from django.db.models import Max, Q
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from messaging.access import roles
from messaging.models import Recipient

from .guard import operators_only, who

SUGGESTIONS = 10
# Completion looks at no more than the recipients of late, by primary key, however full the table is.
RECIPIENTS_SEARCHED = 50_000
MATCHES_READ = 2_000


@operators_only
@require_safe
def addresses(request: HttpRequest) -> JsonResponse:
    """Past recipients whose address or name has the words in it, the latest first."""
    asked = request.GET.get("q", "").replace("\0", "").strip()[:100]
    if len(asked) < 2:
        return JsonResponse({"found": []})
    latest = Recipient.objects.aggregate(latest=Max("pk"))["latest"] or 0
    rows = Recipient.objects.filter(pk__gt=latest - RECIPIENTS_SEARCHED).filter(
        Q(address__icontains=asked) | Q(name__icontains=asked)
    )
    user = who(request)
    if not roles.sees_all(user):
        rows = rows.filter(message__author=user)
    found: dict[str, str] = {}
    for name, address in rows.order_by("-pk").values_list("name", "address")[:MATCHES_READ].iterator(200):
        if name or address not in found:
            found[address] = found.get(address) or name
        if len(found) >= SUGGESTIONS:
            break
    mailboxes = [{"name": name, "address": address} for address, name in found.items()]
    return JsonResponse({"found": mailboxes})
