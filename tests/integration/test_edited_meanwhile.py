"""Two people edit one message: what each of them changed is put together, field by field and file by file."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from messaging.compose import editing
from messaging.compose.letters import Letter, raw_of
from messaging.content.uploads import File
from messaging.intake.addresses import Mailbox
from messaging.intake.gate import Submission, accept
from tests.factories import make_user
from tests.letter_form import saved, sent_by_browser
from tests.pages import source
from tests.rows import received

pytestmark = [pytest.mark.usefixtures("email_setup"), pytest.mark.attack]

FILES = [File(f"{name}.pdf", "application/pdf", b"%PDF " + name.encode()) for name in ("one", "two", "three")]


@pytest.fixture
def message(db):
    letter = Letter(
        Mailbox("Office", "office@brightwater.example"),
        [Mailbox("Bo", "b@example.com")],
        [Mailbox("", "c@example.com")],
        [Mailbox("", "hidden@example.com")],
        "Your invoice",
        "Dear customer\n",
        FILES,
    )
    return accept(Submission(raw_of(letter), letter.sender.address, letter.recipients))


@pytest.fixture
def bert(db):
    client = Client()
    client.force_login(make_user("bert", first_name="Bert"))
    return client


def opened(client, message):
    return client.get(f"/messages/{message.pk}/edit/")


def names(message):
    return [part.get_filename() for part in received(message).iter_attachments()]


def picked(name, data=b"%PDF new"):
    return SimpleUploadedFile(name, data, "application/pdf")


def test_what_the_other_changed_stays_and_what_was_typed_is_added(office, bert, message):
    page = opened(bert, message)
    saved(office, message, subject="Corrected", cc="other@example.com")
    again = saved(bert, message, page, text="Bert’s text", files=picked("bert.pdf"))
    assert again.status_code == 409
    shown = source(again)
    assert re.search(r"Anna [\d:]+: subject from “Your invoice” to “Corrected”; Cc ", shown)
    assert "Bert’s text</textarea>" in shown and "bert.pdf" in shown and 'value="Corrected"' in shown
    assert received(message)["Subject"] == "Corrected", "nothing of the second person is saved yet"
    assert saved(bert, message, again).status_code == 302
    mail = received(message)
    assert (mail["Subject"], mail["Cc"]) == ("Corrected", "other@example.com")
    assert mail.get_body(("plain",)).get_content().startswith("Bert’s text")
    assert names(message) == ["one.pdf", "two.pdf", "three.pdf", "bert.pdf"]
    assert message.versions.count() == 2


def test_attachment_that_the_other_added_stays(office, bert, message):
    page = opened(bert, message)
    saved(office, message, files=picked("contract.pdf"))
    again = saved(bert, message, page, subject="Corrected")
    assert re.search(r"contract\.pdf.{0,80}attached in the meantime", source(again), re.DOTALL)
    saved(bert, message, again)
    assert names(message) == ["one.pdf", "two.pdf", "three.pdf", "contract.pdf"]


def test_attachment_is_taken_out_by_what_it_is_and_not_by_its_place(office, bert, message):
    page = opened(bert, message)
    saved(office, message, stay=["2", "3"], files=picked("new.pdf"))
    again = saved(bert, message, page, stay=["1", "2"])
    assert again.status_code == 409 and sent_by_browser(again)["stay"] == ["1", "3"]
    saved(bert, message, again)
    assert names(message) == ["two.pdf", "new.pdf"]


def test_attachment_that_both_took_out_is_gone_once(office, bert, message):
    page = opened(bert, message)
    saved(office, message, stay=["2", "3"])
    saved(bert, message, saved(bert, message, page, stay=["2", "3"], subject="Corrected"))
    assert names(message) == ["two.pdf", "three.pdf"] and received(message)["Subject"] == "Corrected"


def test_attachment_replaced_by_the_other_is_shown_to_who_took_it_out(office, bert, message):
    page = opened(bert, message)
    saved(office, message, stay=["2", "3"], files=picked("one.pdf", b"%PDF better"))
    again = saved(bert, message, page, stay=["2", "3"])
    assert "attached in the meantime in place of the one that you removed" in source(again)
    saved(bert, message, again)
    assert names(message) == ["two.pdf", "three.pdf", "one.pdf"]


def test_attachment_renamed_by_the_other_is_shown_to_who_took_it_out(office, bert, message):
    page = opened(bert, message)
    saved(office, message, stay=["2", "3"], files=picked("first.pdf", FILES[0].data))
    again = saved(bert, message, page, stay=["2", "3"])
    assert again.status_code == 409, "what Bert took out is still sent, under another name"
    assert "attached in the meantime in place of the one that you removed" in source(again)


@pytest.mark.parametrize("version", [None, "", "x", "-1", "7", "9223372036854775807", "9" * 40])
def test_form_that_names_no_version_that_ever_was_undoes_nothing(office, bert, message, version):
    page = opened(bert, message)
    saved(office, message, subject="Anna’s", files=picked("contract.pdf"))
    saved(bert, message, page, version=version)
    assert names(message)[-1] == "contract.pdf"


@pytest.mark.parametrize(("choice", "subject"), [("mine", "Bert’s"), ("theirs", "Anna’s")])
def test_where_both_changed_the_same_the_second_person_chooses(office, bert, message, choice, subject):
    page = opened(bert, message)
    saved(office, message, subject="Anna’s")
    again = saved(bert, message, page, subject="Bert’s", text="Bert’s text")
    shown = source(again)
    assert "Subject: both of you changed it" in shown and 'value="Bert’s"' in shown
    assert re.search(r"Take this instead \(Anna [\d:]+\):</label>\s*<div[^>]*>Anna’s</div>", shown)
    assert sent_by_browser(again)["take-subject"] == ["mine"], "without a choice nothing typed is lost"
    assert saved(bert, message, again, **{"take-subject": choice}).status_code == 302
    mail = received(message)
    assert mail["Subject"] == subject and mail.get_body(("plain",)).get_content().startswith("Bert’s text")


def test_what_both_changed_alike_is_no_question(office, bert, message):
    page = opened(bert, message)
    saved(office, message, subject="Corrected")
    again = saved(bert, message, page, subject="Corrected", text="Bert’s text")
    assert "both of you changed it" not in source(again)
    saved(bert, message, again)
    assert received(message)["Subject"] == "Corrected"


def test_edited_meanwhile_twice(office, bert, message):
    page = opened(bert, message)
    saved(office, message, subject="Anna’s", stay=["1", "2"])
    again = saved(bert, message, page, text="Bert’s text", stay=["2", "3"], files=picked("bert.pdf"))
    saved(office, message, cc="", files=picked("contract.pdf"))
    again = saved(bert, message, again)
    assert again.status_code == 409 and "contract.pdf" in source(again)
    assert saved(bert, message, again).status_code == 302
    mail = received(message)
    assert (mail["Subject"], mail["Cc"]) == ("Anna’s", None)
    assert mail.get_body(("plain",)).get_content().startswith("Bert’s text")
    assert names(message) == ["two.pdf", "contract.pdf", "bert.pdf"]


def test_form_that_is_several_edits_old(office, bert, message):
    page = opened(bert, message)
    saved(office, message, stay=["2", "3"])
    saved(office, message, subject="Anna’s")
    saved(office, message, stay=["1"], files=picked("contract.pdf"))
    again = saved(bert, message, page, stay=["1", "3"], to="new@example.com")
    assert again.status_code == 409 and source(again).count("Anna ") >= 3
    saved(bert, message, again)
    mail = received(message)
    assert (mail["Subject"], mail["To"]) == ("Anna’s", "new@example.com") and names(message) == ["contract.pdf"]


def test_form_refused_in_between_undoes_nothing(office, bert, message):
    page = opened(bert, message)
    saved(office, message, subject="Anna’s", files=picked("contract.pdf"))
    again = saved(bert, message, page, to="nobody", stay=["1", "2"])
    again = saved(bert, message, again)
    assert again.status_code == 422 and sent_by_browser(again)["stay"] == ["1", "2", "4"]
    assert saved(bert, message, again, to="new@example.com").status_code == 302
    assert received(message)["Subject"] == "Anna’s" and names(message) == ["one.pdf", "two.pdf", "contract.pdf"]


def test_form_that_was_not_touched_undoes_nothing(office, bert, message):
    page = opened(bert, message)
    saved(office, message, subject="Anna’s", stay=["1"])
    response = saved(bert, message, page)
    assert "Nothing was changed." in source(bert.get(response.url))
    assert received(message)["Subject"] == "Anna’s" and names(message) == ["one.pdf"]


def test_form_that_is_sent_twice_is_saved_once(office, message):
    page = opened(office, message)
    for _ in range(2):
        assert saved(office, message, page, subject="Corrected", stay=["1", "2"]).status_code == 302
    assert message.versions.count() == 1 and names(message) == ["one.pdf", "two.pdf"]


def test_files_of_another_person_are_not_attached(office, bert, message):
    refused = saved(office, message, to="nobody", files=picked("secret.pdf"))
    kept = sent_by_browser(refused)["kept"]
    again = saved(bert, message, kept=kept, subject="x")
    assert again.status_code == 422 and "no longer kept" in source(again) and names(message)[-1] == "three.pdf"


@pytest.mark.parametrize("theirs", [{"stay": ["2", "3"]}, {"text": "A much longer text than before. " * 20}], ids=str)
def test_another_user_saves_between_what_is_read_and_what_is_written(office, bert, message, monkeypatch, theirs):
    mine, before = opened(bert, message), opened(office, message)
    genuine, saves = editing.apply, []

    def apply(*arguments, **options):
        monkeypatch.setattr(editing, "apply", genuine)
        saves.append(saved(office, message, before, **theirs).status_code)
        return genuine(*arguments, **options)

    monkeypatch.setattr(editing, "apply", apply)
    again = saved(bert, message, mine, subject="Mine")
    assert (saves, again.status_code) == ([302], 409)
    text = re.search(r'<textarea[^>]*name="text"[^>]*>(.*?)</textarea>', source(again), re.DOTALL)[1]
    assert theirs.get("text", "")[:30] in text
