"""Every page is in its index, and every link within the repository leads to a file and a heading that are there."""

import re
import subprocess
import tomllib
from pkgutil import resolve_name

import pytest

from tests.installation import ROOT

LISTED = subprocess.check_output(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, text=True
)
PAGES = [ROOT / name for name in sorted(filter(None, LISTED.split("\0"))) if (ROOT / name).exists()]
DOCS, DECISIONS = ROOT / "docs", ROOT / "docs" / "decisions"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)", re.MULTILINE)


def text_of(page):
    """Without what is code: there, brackets are no links and # begins no heading."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page):
    found = ("".join(each) for each in LINK.findall(re.sub(r"`[^`\n]*`", "", text_of(page))))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def anchors(page):
    """Of the headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#{1,6} (.+)$", text_of(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = next(each for each in range(len(found) + 1) if (f"{name}-{each}" if each else name) not in found)
        found.add(f"{name}-{number}" if number else name)
    return found


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    for target in links(document):
        path, _, heading = target.partition("#")
        file = document.parent / path if path else document
        assert file.is_file(), target
        assert not heading or heading in anchors(file), target


def indexed(index):
    """The pages that an index names, in its order."""
    return [(index.parent / target).resolve() for target in links(index)]


def test_every_page_is_in_the_index():
    pages = [page for page in PAGES if page.is_relative_to(DOCS) and page.parent != DECISIONS]
    wanted = {*pages, DECISIONS / "README.md"} - {DOCS / "README.md"}

    found = indexed(DOCS / "README.md")

    assert {page for page in found if page.is_relative_to(DOCS)} == wanted
    assert len(found) == len(set(found))


def test_every_decision_is_in_the_index_with_its_number_title_and_status():
    decisions = [page for page in PAGES if page.parent == DECISIONS and page.name != "README.md"]
    rows = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \| (.+) \|$", (DECISIONS / "README.md").read_text(), re.MULTILINE
    )

    assert [DECISIONS / row[2] for row in rows] == decisions
    for place, (number, title, name, sentence, status) in enumerate(rows, start=1):
        assert int(number) == place == int(name[:4])
        assert (DECISIONS / name).read_text().startswith(f"# {number}. {title}\n")
        assert sentence.endswith(".")
        assert status == "in force" or re.fullmatch(r"replaced by \d+", status)


def test_the_indexes_can_be_found():
    assert "docs/README.md" in links(ROOT / "README.md")
    assert "docs/decisions/README.md" in links(ROOT / "README.md")


def test_the_recipes_name_files_that_are_there():
    recipes = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Recipes\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w-]+(?:/[\w.-]+)*/?)`", recipes))
    paths = [name for name in named if "/" in name or name.endswith((".toml", ".yml", ".md"))]

    assert len(paths) > 30
    assert not [name for name in paths if not (ROOT / name).exists()]


def test_the_changelog_has_the_form_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.+)$", text, re.MULTILINE)
    released = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert versions[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions[1:])
    assert versions[1].startswith(f"[{released}]")
    for section in text.split("\n## ")[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert kinds == [kind for kind in ("Added", "Changed", "Fixed", "Security") if kind in kinds]
        listed = section.partition("\n### ")[2].splitlines()[1:]
        assert all(not line or line.startswith(("- ", "#")) for line in listed), "one line for each"


def test_the_architecture_says_where_things_are_as_they_are():
    section = (ROOT / "docs/architecture.md").read_text().partition("\n## Where is ...?\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in section.splitlines() if line.startswith("| ") and "---" not in line][1:]

    assert len(rows) >= 15
    for answer in rows:
        places = re.findall(r"`([a-z_.]+)`", answer)
        assert places
        for place in places:
            assert resolve_name(f"messaging.{place}"), place
