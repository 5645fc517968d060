"""The process that reads HTML, with a check of its weight that lets everything pass, or never ends (in C code)."""

import re

from messaging.console import html_process, html_weight


def check(html):
    if "for ever" in html:
        re.match("(a+)+b", "a" * 60)


if __name__ == "__main__":
    html_weight.check = check
    html_process.main()
