"""The benchmark's own parts: a sink that counts right, figures that are worked out right. Nothing here is timed."""

import asyncio
import json
import smtplib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks import report
from benchmarks.contestants import Drain, Void, check_ledger
from benchmarks.plan import LIMIT, Results, Scenario
from benchmarks.sink import Sink, listen

HEADER = b"From: a@b.example\r\nMessage-ID: <m%d@bench.example>\r\n\r\n"


def in_a_thread(function, *arguments):
    """Call it, and wait. Browser tests before it in this process left an event loop running in the main thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function, *arguments).result()


class RunningSink:
    """The sink in a thread of its own."""

    def __enter__(self):
        self.sink = Sink(ledger=Counter())
        self.loop = asyncio.new_event_loop()
        self.smtp, self.control = in_a_thread(self.loop.run_until_complete, listen(self.sink))
        self.port = self.smtp.sockets[0].getsockname()[1]
        self.control_port = self.control.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def talk(self, *pieces, in_turn=False):
        """Write pieces to one connection, each after the sink has had time for the last; all it said until QUIT.

        With `in_turn`, each after the sink has answered the last.
        """

        async def conversation():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            said = b""
            for piece in (*pieces, b"QUIT\r\n"):
                if in_turn:
                    said += await asyncio.wait_for(reader.read(65536), 10)
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.002)
            said += await asyncio.wait_for(reader.read(), 10)
            writer.close()
            return said.decode()

        return in_a_thread(asyncio.run, conversation())

    def ask(self, *commands):
        async def conversation():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.control_port)
            answers = []
            for command in commands:
                writer.write(command.encode() + b"\n")
                answers.append(json.loads(await reader.readline()))
            writer.close()
            return answers[-1]

        return in_a_thread(asyncio.run, conversation())


@pytest.fixture
def sink():
    with RunningSink() as running:
        yield running


def codes(said):
    return [line[:3] for line in said.splitlines() if line[3:4] != "-"]


def transaction(number, content, recipients=1):
    envelope = b"MAIL FROM:<a@b.example>\r\n"
    envelope += b"".join(b"RCPT TO:<r%d@c.example>\r\n" % index for index in range(recipients))
    return envelope + b"DATA\r\n", HEADER % number + content + b".\r\n"


def test_sink_answers_commands_that_come_in_together_in_order(sink):
    envelope, content = transaction(1, b"hello\r\n", recipients=2)
    following, last = transaction(2, b"again\r\n")
    said = sink.talk(b"EHLO x\r\n", envelope, content + following, last)
    assert codes(said) == ["220", "250", "250", "250", "250", "354", "250", "250", "250", "354", "250", "221"]
    assert "250-PIPELINING" in said
    assert sink.ask("read")["accepted"] == 2
    assert sink.ask("read")["recipients"] == 3
    assert sink.ask("ledger") == [
        ["<m1@bench.example>", "r0@c.example", 1],
        ["<m1@bench.example>", "r1@c.example", 1],
        ["<m2@bench.example>", "r0@c.example", 1],
    ]


def test_sink_delays_what_came_in_together_once(sink):
    """A network's latency: a group of commands costs one delay, not one each; and the order stays."""
    sink.ask("latency 50")
    calls = []
    sink.loop.call_later = lambda delay, *rest, later=sink.loop.call_later: (calls.append(delay), later(delay, *rest))[
        1
    ]
    envelope, content = transaction(1, b"x\r\n", recipients=5)
    said = sink.talk(b"EHLO x\r\n", envelope, content, in_turn=True)
    assert codes(said) == ["220", "250", *["250"] * 6, "354", "250", "221"]
    assert calls.count(0.05) == 5, "greeting, EHLO, the group, the content, QUIT"


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"..\r\n",
        b"text\r\n",
        b"..stuffed\r\n..\r\n..\r\nx..\r\n",
        b"a\r\n.\rb\r\n",
        b"\r\n\r\n",
        b"....\r\n.. .\r\n",
    ],
)
def test_sink_takes_content_in_pieces_of_any_size_and_counts_it_without_stuffed_dots(sink, step, body):
    envelope, content = transaction(7, body)
    pieces = [content[start : start + step] for start in range(0, len(content), step)]
    said = sink.talk(envelope, *pieces)
    assert codes(said) == ["220", "250", "250", "354", "250", "221"]
    plain = (b"\r\n" + content[:-3]).replace(b"\r\n..", b"\r\n.")[2:]
    assert sink.ask("read")["octets"] == len(plain)
    assert sink.ask("ledger") == [["<m7@bench.example>", "r0@c.example", 1]]


def test_sink_takes_an_empty_content(sink):
    sink.talk(b"MAIL FROM:<>\r\nRCPT TO:<r@c.example>\r\nDATA\r\n", b".\r\n")
    assert sink.ask("read")["accepted"] == 1
    assert sink.ask("read")["octets"] == 0


def test_sink_takes_what_smtplib_sends(sink):
    content = b"Message-ID: <x@bench.example>\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        for _ in range(2):
            client.sendmail("a@b.example", ["r@c.example"], content)
    counters = sink.ask("read")
    assert counters["octets"] == 2 * len(content)
    assert counters["connections"] == 1
    assert counters["first_data"] < counters["first_accept"] < counters["last_accept"]
    assert sink.ask("ledger") == [["<x@bench.example>", "r@c.example", 2]], "twice is told as twice"


def test_sink_refuses_what_is_out_of_order(sink):
    said = sink.talk(b"DATA\r\nRCPT TO:<r@c.example>\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\nRSET\r\nWHAT\r\n")
    assert codes(said) == ["220", "503", "503", "250", "503", "503", "250", "502", "221"]
    assert sink.ask("read")["accepted"] == 0


def test_sink_starts_from_zero_after_a_reset(sink):
    sink.talk(*transaction(1, b"x\r\n"))
    assert sink.ask("reset")["accepted"] == 1
    after = sink.ask("read")
    assert (after["accepted"], after["connections"], after["first_data"]) == (0, 0, None)
    assert sink.ask("ledger") == []


def ledger(*times):
    return [[f"<run.{number}@bench.example>", f"customer.{number}@example.com", n] for number, n in enumerate(times)]


def test_a_run_counts_only_when_each_message_arrived_once():
    check_ledger("x", "run", 2, ledger(1, 1))
    for wrong in (ledger(1), ledger(1, 2), ledger(1, 1, 1), [*ledger(1, 1), ["", "customer.0@example.com", 1]]):
        with pytest.raises(Void):
            check_ledger("x", "run", 2, wrong)


def test_ratio_is_taken_round_by_round():
    assert report.ratios([50, 30], [100, 20]) == [0.5, 1.5]
    with pytest.raises(ValueError):
        report.ratios([1, 2], [1])


def test_spread_is_median_lowest_and_highest():
    assert report.spread([3, 1, 200]) == "3 (1–200)"
    assert report.spread([0.111, 0.2, 0.3], ".2f") == "0.20 (0.11–0.30)"


def test_a_target_is_judged_by_the_median():
    assert report.verdict([0.1, 0.5, 0.9], 0.5, at_least=True) == "met"
    assert report.verdict([0.1, 0.49, 0.9], 0.5, at_least=True) == "**not met**"
    assert report.verdict([1, 3, 9], 3, at_least=False) == "met"
    assert report.verdict([1, 4, 9], 3, at_least=False) == "**not met**"


def results(**rates):
    """A scenario of 2 KB at 0 ms: rates of three rounds by contestant, with the family as its name."""
    scenario = Scenario("small", 0, 10)
    drains = {
        name: [Drain(rate, 8, 2000.0, each_rate=rate * 2, at_once_rate=rate * 4, statements_each=2.5) for rate in three]
        for name, three in rates.items()
    }
    return Results({scenario: drains}, families={name: name.rstrip("!") for name in rates})


def row(text, start):
    return next(line for line in text.splitlines() if line.startswith(f"| {start}"))


def test_targets_are_worked_out_against_the_best_of_a_peer():
    measured = results(
        **{
            LIMIT: [100, 200, 400],
            "outtray, PostgreSQL": [50, 120, 160],
            "post_office, PostgreSQL": [10, 10, 10],
            "post_office, PostgreSQL!": [20, 20, 20],
        }
    )
    text = report.report(measured)
    assert row(text, "drain, 2 KB, 0 ms: times django-post_office") == (
        "| drain, 2 KB, 0 ms: times django-post_office | ≥ 5 | 6.00 (2.50–8.00) | met |"
    )
    assert row(text, f"drain, 2 KB, 0 ms: of {LIMIT}").endswith("| ≥ 0.5 | 0.50 (0.40–0.60) | met |")
    assert row(text, "queue in one call, PostgreSQL").endswith("| ≥ 1.5 | 6.00 (2.50–8.00) | met |")
    assert row(text, "queue in one call, SQLite").endswith("| ≥ 1.5 | – | not measured |")
    assert row(text, "SQL statements").endswith("| ≤ 3 | 2.50 (2.50–2.50) | met |")
    assert row(text, "drain, 2 KB, 20 ms").endswith("| ≥ 0.9 | – | not measured |"), "what was left out is not met"


def test_what_is_written_by_hand_survives_the_next_run(tmp_path, monkeypatch):
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Title\n\nMethod.\n\n{report.START}\nold\n{report.STOP}\n\nProfile.\n")
    monkeypatch.setattr(report, "PAGE", page)
    report.write("first")
    report.write("second")
    assert page.read_text() == f"# Title\n\nMethod.\n\n{report.START}\n\nsecond\n{report.STOP}\n\nProfile.\n"


def test_the_page_has_its_markers():
    text = report.PAGE.read_text()
    assert text.index(report.START) < text.index(report.STOP)
