"""A migration that may have run somewhere is never changed: where it has run, it does not run again."""

import shutil

import pytest

from tests import migrations


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "migrations"
    shutil.copytree(migrations.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_no_migration_was_changed_and_each_is_on_the_list():
    assert "\n".join(migrations.changed(migrations.FOLDER) + migrations.unlisted(migrations.FOLDER)) == ""


def test_list_says_what_was_released():
    released = {name: version for name, (version, _) in migrations.read(migrations.FOLDER).items()}
    assert [name for name, version in released.items() if version == "0.1.0"] == [
        "0001_initial.py",
        "0002_sending_limits.py",
        "0003_email_setup.py",
        "0004_company_options.py",
    ]


@pytest.mark.parametrize("name", list(migrations.read(migrations.FOLDER)))
def test_any_change_is_refused_and_the_list_stays(folder, name, capsys):
    with (folder / name).open("a") as file:
        file.write("\n")
    before = (folder / migrations.LIST).read_text()
    assert migrations.main(folder, ["--release", "9.9"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{name} ")
    assert "Put it back as it was, and correct it in a new migration." in said
    assert (folder / migrations.LIST).read_text() == before


def test_released_one_that_is_gone_is_refused(folder):
    (folder / "0001_initial.py").unlink()
    assert migrations.changed(folder) == [
        "0001_initial.py was released with 0.1.0 and is gone. Put it back as it was, and correct it in a new migration."
    ]


def test_new_one_is_added_and_released(folder, capsys):
    new = folder / "9999_new.py"
    new.write_text("first")
    assert migrations.unlisted(folder) == ["9999_new.py is not in released.txt. Run make migrations."]
    assert migrations.main(folder, []) == 0
    assert migrations.read(folder)["9999_new.py"][0] == migrations.UNRELEASED
    assert migrations.main(folder, ["--release", "9.9"]) == 0
    listed = migrations.read(folder)
    assert (listed["9999_new.py"][0], listed["0001_initial.py"][0]) == ("9.9", "0.1.0")
    assert (migrations.changed(folder), migrations.unlisted(folder)) == ([], [])
    new.write_text("second")
    assert migrations.main(folder, []) == 1
    assert capsys.readouterr().err.startswith("9999_new.py was released with 9.9 and is changed.")


def test_one_that_was_never_on_main_is_listed_anew_where_its_line_is_deleted(folder, capsys):
    new = folder / "9998_new.py"
    new.write_text("it")
    migrations.update(folder)
    new.rename(folder / "9999_new.py")
    assert migrations.main(folder, []) == 1
    words = "Where it was never on main, delete its line in released.txt and run make migrations."
    assert words in capsys.readouterr().err
    kept = [line for line in (folder / migrations.LIST).read_text().splitlines() if not line.startswith("9998")]
    (folder / migrations.LIST).write_text("\n".join(kept))
    assert migrations.main(folder, []) == 0
    assert migrations.read(folder)["9999_new.py"][0] == migrations.UNRELEASED


@pytest.mark.parametrize("line", ["x.py 0.1.0", "x.py", "0001_initial.py unreleased " + "0" * 64])
def test_line_that_is_not_understood_is_named(folder, line):
    with (folder / migrations.LIST).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=line.split()[0]):
        migrations.read(folder)
