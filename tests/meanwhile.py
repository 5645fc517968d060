"""What happens after it was looked at who asks, and before what they ask for is done: as while a form is on its way."""

from contextlib import contextmanager

_happens = []


class Meanwhile:
    """A middleware, the last before the view."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_view(self, request, view, *args):
        while _happens:
            _happens.pop()()


@contextmanager
def meanwhile(settings, work):
    """Have `work` happen in the next request of a browser that is new."""
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.meanwhile.Meanwhile"]
    _happens[:] = [work]
    try:
        yield
    finally:
        _happens.clear()
