"""What a browser calls itself, in plain words.

User-Agent is a pile of old names (RFC 9110 10.1.5): nearly all say Mozilla, Chrome says Safari, Edge says Chrome. So
the first that fits counts.
"""

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
)
DEVICES = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "a Chromebook"),
    ("Mac OS X", "Mac"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)


def in_words(user_agent: str) -> str:
    """Browser and device, as far as they are known: "Firefox on Windows"."""
    browser = next((name for mark, name in BROWSERS if mark in user_agent), "Unknown browser")
    device = next((name for mark, name in DEVICES if mark in user_agent), "")
    return f"{browser} on {device}" if device else browser
