"""The web server: gunicorn's processes, and in each of them waitress, whose loop takes in whole requests and gives out
whole answers, so that a slow client costs a socket and not a thread.

gunicorn starts the processes, kills one that is frozen and starts another. What waitress lacks is here: deadlines for
header, body and reading the answer, threads of their own for monitors, and a limit for what a request may compute.
"""

import ctypes
import faulthandler
import logging
import math
import os
import resource
import socket
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from heapq import heapify, heappop, heapreplace
from typing import Any

from gunicorn.workers.base import Worker as BaseWorker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import BadRequest, RequestHeaderFieldsTooLarge
from waitress.utilities import Error as Refused

log = logging.getLogger(__name__)

HEADER_SECONDS = 15.0  # for a whole header; a connection that is kept waits as long for the next to begin
BODY_SECONDS = 30.0
ANSWER_SECONDS = 30.0
BYTES_PER_SECOND = 4096  # body and answer get the time that they take at this rate, on top
CONNECTIONS = 1000  # of a process; beyond that one without a request at work is closed
ACCEPTED_AT_ONCE = 16  # connections, in one round of the loop
FILES_EACH = 4  # a socket, a file each for request and answer, and what a page opens
FILES_BESIDE = 40  # the rest of a process: libraries, the databases of its threads
LOOK_SECONDS = 1.0  # between two looks at what is over its time
COMPUTING_SECONDS = 20.0  # processor time of one request; waiting does not count, each wait has a limit of its own
READING_SECONDS = 15.0  # that PostgreSQL gives a statement of a page
WRITING_SECONDS = 600.0  # within a transaction: to confirm a batch of 100,000 messages
SPOOLED = 1024 * 1024 * 1024  # bytes on the disk, of all bodies and answers of a process that wait
LARGEST_BODY_IN_MEMORY = 65536  # waitress would keep 512 KB of each connection
MOST_OF_A_CHUNK_LINE = 8192
LONGEST_START_LINE = 8190  # links of a page repeat its address many times over
MOST_FIELDS = 100  # of a header; each costs the loop, and those of one name by their square
MOST_BACKSLASHES = 1000
MOST_OF_A_CONTENT_TYPE = 500  # Django's time for it grows with its square
MOST_BLANK = 16
SAFE = ("GET", "HEAD")  # nothing is ordered by them
VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")
FREE_DISK_FOR_ANSWERS = 128 * 1024 * 1024  # an answer up to this size leaves its thread, however slowly it is read
OF_USER, OF_ADDRESS = 4, 6  # threads that one may have, of eight; many people may come from one address
MONITORS = {"/healthz": "up", "/readyz": "ready", "/health/": "ready"}  # path -> which threads


class OutOfTime(BaseException):
    """Raised in the thread of a request that has computed for COMPUTING_SECONDS. No `except Exception` catches it."""


class Watch:
    """Knows which threads are at work on a request, and ends those that have computed for too long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._at_work: dict[int, tuple[int, float, str]] = {}
        self._databases: dict[int, Any] = {}

    @contextmanager
    def over(self, path: str) -> Iterator[None]:
        """Around a request, in its thread. OutOfTime may come up to the end of it, and never after."""
        me = threading.get_ident()
        clock = time.pthread_getcpuclockid(me)
        with self._lock:
            self._at_work[me] = clock, time.clock_gettime(clock) + self.seconds, path
            self._databases[me] = _database_of_this_thread()
        try:
            yield
        finally:
            with self._lock:
                del self._at_work[me], self._databases[me]
                _raise_in(me, None)  # one that was ordered and has not come yet

    def look(self) -> None:
        """End what is over its time; again a second later if something swallowed that."""
        with self._lock:
            for thread, (clock, end, path) in self._at_work.items():
                now = time.clock_gettime(clock)
                if now >= end:
                    log.error("%s was ended: it had computed for %g seconds", path, self.seconds)
                    _raise_in(thread, OutOfTime)  # as soon as it is in Python
                    _interrupt(self._databases[thread])  # which it may not be for hours
                    self._at_work[thread] = clock, now + 1, path


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error and ctypes.py_object(error))


def _database_of_this_thread() -> Any:
    from django.db import DEFAULT_DB_ALIAS, connections

    return connections[DEFAULT_DB_ALIAS]


def _interrupt(database: Any) -> None:
    """Break off the statement that SQLite carries out for another thread; a COMMIT is done whole or not at all."""
    if database.vendor == "sqlite" and database.connection is not None:
        with suppress(database.Database.ProgrammingError):  # closed by now
            database.connection.interrupt()


class ChunksReceiver(ChunkedReceiver):
    """Refuses chunks that are mostly frame: each of them costs the loop, and none of that is kept on the disk."""

    def __init__(self, buf: Any) -> None:
        super().__init__(buf)
        self.buf: Any
        self.frame = 0  # octets of sizes, extensions, line ends and trailer

    def received(self, s: bytes) -> int:
        before = len(self)
        kept, self.buf = self.buf, []
        consumed = int(super().received(s))
        kept.append(b"".join(self.buf))  # at once: each piece by itself would be a write to the disk
        self.buf = kept
        self.frame += consumed - (len(self) - before)
        unfinished = max(len(self.control_line), len(self.trailer))
        if unfinished > MOST_OF_A_CHUNK_LINE or self.frame > MOST_OF_A_CHUNK_LINE + len(self) // 2:
            self.error = BadRequest("Chunks are mostly frame")
        return consumed


class AddressTooLong(BadRequest):
    code = 414  # RFC 9112 3
    reason = "URI Too Long"


class Parser(HTTPRequestParser):
    """Refuses what a proxy in front might understand otherwise (RFC 9112 5.2, 6.1: request smuggling)."""

    body_rcv: Any
    path = ""  # also where there is no first line
    blank = 0  # octets of blank lines before it

    def received(self, data: bytes) -> int:
        """Take in one request; what was sent with it before its answer is dropped, and the connection closed.

        waitress would parse all that comes in one read, in the loop that serves everyone, and make all answers before
        the client has read one, each with a file open. Clients send such requests again (RFC 9112 9.3.2); browsers and
        proxies send none.
        """
        taken = data
        if not self.header_plus and self.body_rcv is None:
            taken = data.lstrip(b"\r\n")  # RFC 9112 2.2
            self.blank += len(data) - len(taken)
            if self.blank > MOST_BLANK:
                self._refuse(BadRequest("Blank lines in place of a request"))
            if not taken or self.completed:
                return len(data)
        consumed = int(super().received(taken))
        if self.error is not None:
            self.expect_continue = False
        if not self.completed:
            return len(data) - len(taken) + consumed
        if consumed < len(taken):
            self.headers["CONNECTION"] = "close"
        return len(data)

    def _refuse(self, error: Refused) -> None:
        super().parse_header(b"GET / HTTP/1.0\r\n")
        self.error, self.completed = error, True

    def parse_header(self, header_plus: bytes) -> None:
        if header_plus.find(b"\r\n") > LONGEST_START_LINE:
            self._refuse(AddressTooLong(f"Start line is longer than {LONGEST_START_LINE} octets"))
        elif header_plus.rstrip(b"\r\n").count(b"\r\n") > MOST_FIELDS:
            self._refuse(RequestHeaderFieldsTooLarge(f"More than {MOST_FIELDS} header fields"))
        else:
            self._parse_header(header_plus)

    def _parse_header(self, header_plus: bytes) -> None:
        first, *lines = header_plus.split(b"\r\n")
        _check_first_line(first)
        if any(line.startswith((b" ", b"\t")) for line in lines):
            raise ParsingError("Header field continued on another line")
        split = [line.partition(b":") for line in lines]
        fields = [(name.strip().lower(), value.strip()) for name, _, value in split]
        names = [name for name, _ in fields]
        if b"transfer-encoding" in names and (b"content-length" in names or names.count(b"transfer-encoding") > 1):
            raise ParsingError("Transfer-Encoding beside Content-Length")
        if names.count(b"content-length") > 1 or names.count(b"host") > 1:
            raise ParsingError("Content-Length or Host given twice")
        # Before 3.11.10, the time that Python takes for them grows with their square (CVE-2024-7592).
        if sum(value.count(b"\\") for name, value in fields if name == b"cookie") > MOST_BACKSLASHES:
            raise ParsingError("Cookie with too many backslashes")
        # Django reads it before any page is chosen, and raises an error for a character set in it (RFC 2231).
        if any(
            len(value) > MOST_OF_A_CONTENT_TYPE or b"*" in value for name, value in fields if name == b"content-type"
        ):
            raise ParsingError("Content-Type that is too long, or has a parameter in a character set")
        # Without the blanks around values: waitress's time for those grows with their square.
        stripped = [name + colon + value.strip(b" \t") for name, colon, value in split]
        try:
            super().parse_header(b"\r\n".join([first, *stripped]))
        except ValueError as error:
            raise ParsingError("Address or number that makes no sense") from error
        if b"transfer-encoding" in names:
            if self.version != "1.1" or (b"transfer-encoding", b"chunked") not in fields:
                raise ParsingError("Transfer-Encoding in a version that has none, or not just chunked")
            self.body_rcv = ChunksReceiver(self.body_rcv.getbuf())
        if self.body_rcv is None:
            self.expect_continue = False  # of itself, waitress would read the next request as part of this one


def _check_first_line(line: bytes) -> None:
    """Method, address and version with a blank between them. waitress's time for anything else grows with its square.

    Raises ParsingError.
    """
    parts = line.split(b" ")
    if len(parts) != 3 or not all(parts) or parts[2] not in VERSIONS:
        raise ParsingError("Start line is invalid, or of a version of HTTP that is not known")


class Channel(HTTPChannel):
    """A connection."""

    parser_class = Parser
    server: "Server"

    def __init__(self, *args: Any, **options: Any) -> None:
        self.waits_since = time.monotonic()  # for the whole request
        self.is_kept = False  # since an answer, and nothing has come after it
        self.answers_since = 0.0  # 0: there is nothing to be read
        self.largest = 0
        super().__init__(*args, **options)
        self._peer = self._client = _client(self.addr[0])
        self._forwarded = ""  # what `_client` was read from

    @property
    def client(self) -> str:
        """Whose it is, as far as that can be believed: behind a proxy its request says so, once its head is there."""
        request = next(iter(self.requests), self.request)
        forwarded = getattr(request, "headers", {}).get("X_FORWARDED_FOR", "")
        if not forwarded:
            return self._peer
        if forwarded != self._forwarded:
            self._forwarded, self._client = forwarded, _client(self.addr[0], forwarded)
        return self._client

    def received(self, data: bytes) -> bool:
        if self.is_kept:
            self.is_kept, self.waits_since = False, time.monotonic()
        return bool(super().received(data))

    def asker(self) -> str | int:
        """Who asks next: a user, by their number, or else an address, as far as that can be believed."""
        from messaging.console import requesters

        headers = getattr(self.requests[0], "headers", {})
        return requesters.user_of(headers.get("COOKIE", "")) or self.client

    def service(self) -> None:
        if getattr(self.requests[0], "command", "") in SAFE and self.check_client_disconnected():
            self._give_up()  # the client has gone, and costs no thread to those who are there
            return
        self.waits_since = math.inf  # the client waits for us
        path = getattr(self.requests[0], "path", "")
        try:
            with self.server.watch.over(path):
                super().service()
        except OutOfTime:  # in the middle of its answer, or in our own code
            self._give_up()
        self.is_kept, self.waits_since = True, time.monotonic()

    def _give_up(self) -> None:
        self.cancel()
        self.server.pull_trigger()

    def check_client_disconnected(self) -> bool:
        """Whether the client has gone, also while a request is at work and waitress reads nothing.

        One that has only ended its side counts as gone; one that has sent more before it went does not.
        """
        connection = self.socket  # the loop may close it meanwhile
        try:
            return connection is None or not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def held(self) -> int:
        """How many bytes of bodies and answers it keeps; an answer that is a file of ours takes no room."""
        unfinished = [self.request] if self.request is not None else []
        bodies: int = sum(each.body_bytes_received for each in [*self.requests, *unfinished])
        return bodies + sum(len(each) for each in list(self.outbufs) if not isinstance(each, ReadOnlyFileBasedBuffer))

    def is_late(self, now: float) -> bool:
        """Whether the client takes longer for its request, or for the answer, than it may. `now` is monotonic."""
        if self.total_outbufs_len:
            self.answers_since = self.answers_since or now
            self.largest = max(self.largest, self.total_outbufs_len)
            return bool(now > self.answers_since + ANSWER_SECONDS + self.largest / BYTES_PER_SECOND)
        if self.answers_since:
            self.answers_since, self.largest, self.is_kept, self.waits_since = 0.0, 0, True, now
        if self.requests:
            return False
        if self.request is not None and self.request.headers_finished:
            received = self.request.body_bytes_received
            return bool(now > self.waits_since + BODY_SECONDS + received / BYTES_PER_SECOND)
        return bool(now > self.waits_since + HEADER_SECONDS)


def _client(address: str, forwarded: str = "") -> str:
    from messaging.access.sign_in_throttling.client import address_in

    return address_in({"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": forwarded})


class Turn:
    """A request that wants a thread."""

    def __init__(self, channel: Channel, threads: ThreadedTaskDispatcher) -> None:
        self.channel = channel
        self.asker = channel.asker()
        self._threads = threads

    def service(self) -> None:
        try:
            self.channel.service()
        finally:
            with self._threads.lock:
                self._threads.queue.end(self)

    def cancel(self) -> None:
        self.channel.cancel()


class Queue:
    """Requests that wait for a thread. Askers take turns, and none has all threads: the others are next, however many
    requests come from one, and however long each takes.
    """

    def __init__(self, of_user: int, of_address: int) -> None:
        self._of_user = of_user  # how many threads one may have
        self._of_address = of_address
        self._at_work = Counter[str | int]()
        self._next: dict[str | int, deque[Turn]] = {}  # in the order of their turns
        self._full: dict[str | int, deque[Turn]] = {}  # of those who have as many at work as they may

    def __len__(self) -> int:
        """How many askers may have a thread now."""
        return len(self._next)

    def append(self, turn: Turn) -> None:
        self._waiting(turn.asker).setdefault(turn.asker, deque()).append(turn)

    def popleft(self) -> Turn:
        asker = next(iter(self._next))
        turns = self._next.pop(asker)
        turn = turns.popleft()
        self._at_work[asker] += 1
        if turns:
            self._waiting(asker)[asker] = turns  # behind the others
        return turn

    def end(self, turn: Turn) -> None:
        """It needs its thread no more."""
        self._at_work[turn.asker] -= 1
        if not self._at_work[turn.asker]:
            del self._at_work[turn.asker]
        if turn.asker in self._full:
            self._next[turn.asker] = self._full.pop(turn.asker)

    def _waiting(self, asker: str | int) -> dict[str | int, deque[Turn]]:
        most = self._of_user if isinstance(asker, int) else self._of_address
        return self._next if self._at_work[asker] < most else self._full


class Server(TcpWSGIServer):
    """A listening socket in one process, with its connections."""

    channel_class = Channel
    active_channels: dict[int, Channel]

    def __init__(self, *args: Any, watch: Watch, most: int, **options: Any) -> None:
        self.watch = watch
        self.most = most  # connections
        self.accepted_at_once = max(1, min(ACCEPTED_AT_ONCE, most // 16))
        self.monitors = {name: _threads(number) for name, number in (("up", 1), ("ready", 2))}
        super().__init__(*args, **options)

    def add_task(self, task: Channel) -> None:
        name = MONITORS.get(getattr(task.requests[0], "path", ""))
        threads = self.monitors[name] if name else self.task_dispatcher
        threads.add_task(Turn(task, threads))

    def handle_accept(self) -> None:
        """Several at once: each round of the loop looks at every connection, and so does the closing of some.

        None of the new ones is closed for another: they have said nothing yet.
        """
        before = list(self.active_channels.values())
        for taken in range(self.accepted_at_once):
            super().handle_accept()
            if len(self.active_channels) <= len(before) + taken:
                break
        excess = len(self.active_channels) - self.most
        if excess > 0:
            self._close_oldest(before, excess)
        elif excess == 0 and len(self.active_channels) == len(before):
            self._close_oldest(before, 1)  # the next one waits, and there may be no file left for it

    def _close_oldest(self, among: Sequence[Channel], number: int) -> None:
        """Each time of those of the address that has the most: one that opens any number closes its own."""
        free: dict[str, list[Channel]] = defaultdict(list)
        has = Counter[str]()
        for each in among:
            client = each.client
            has[client] += 1
            if not each.requests:
                free[client].append(each)
        for theirs in free.values():
            theirs.sort(key=lambda each: each.waits_since, reverse=True)
        order = [(-has[client], theirs[-1].waits_since, client) for client, theirs in free.items()]
        heapify(order)
        for _ in range(number):
            if not order:
                break
            negative, _since, client = order[0]
            theirs = free[client]
            theirs.pop().handle_close()
            if theirs:
                heapreplace(order, (negative + 1, theirs[-1].waits_since, client))
            else:
                heappop(order)

    def maintenance(self, now: float) -> None:
        """Nothing: waitress asks for it by the clock on the wall, which may be put back."""

    def look(self) -> None:
        """End what is over its time: pages that compute, and transfers."""
        self.watch.look()
        now = time.monotonic()
        # At once: waitress would wait until the client takes something.
        for channel in list(self.active_channels.values()):
            if channel.is_late(now):
                channel.handle_close()
        self._make_room()

    def _make_room(self) -> None:
        """Close uploads and downloads that the client does not end, those of the address that takes the most first."""
        held = {each: each.held() for each in self.active_channels.values()}
        excess = sum(held.values()) - SPOOLED
        if excess <= 0:
            return
        clients = {each: each.client for each in held}
        by_address = Counter[str]()
        for channel, size in held.items():
            by_address[clients[channel]] += size
        waiting = [each for each in held if each.request is not None or each.total_outbufs_len]
        for channel in sorted(waiting, key=lambda each: (by_address[clients[each]], held[each]), reverse=True):
            if excess <= 0:
                return
            log.warning("A transfer with %s was ended: unfinished ones took too much of the disk", clients[channel])
            channel.handle_close()
            excess -= held[channel]

    def is_busy(self) -> bool:
        return any(each.requests or each.total_outbufs_len for each in self.active_channels.values())


def _threads(number: int, queue: Queue | None = None) -> ThreadedTaskDispatcher:
    threads = ThreadedTaskDispatcher()
    threads.queue = Queue(number, number) if queue is None else queue
    threads.set_thread_count(number)
    return threads


class Worker(BaseWorker):
    """A process of gunicorn's. When it does not come round for gunicorn's `timeout`, it is killed."""

    def run(self) -> None:
        most = _set_limits()
        faulthandler.enable()  # gunicorn ends a frozen process with SIGABRT: then the log says where it was
        threading.Thread(target=_look_at_the_database, name="lineage", daemon=True).start()
        connections: dict[int, Any] = {}
        watch = Watch(COMPUTING_SECONDS)
        number = self.cfg.threads
        threads = _threads(number, Queue(max(1, number * OF_USER // 8), max(1, number * OF_ADDRESS // 8)))
        settings = _adjustments(self.cfg.threads)
        application = within_time(self.wsgi)
        servers = [
            Server(application, connections, True, each.sock, threads, settings, bind_socket=False, watch=watch,
                   sockinfo=(each.sock.family, each.sock.type, each.sock.proto, each.sock.getsockname()), most=most)
            for each in self.sockets
        ]  # fmt: skip
        next_look = time.monotonic()
        while self.alive and self.ppid == os.getppid():
            self.notify()
            wasyncore.loop(0.5, use_poll=True, map=connections, count=1)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                for server in servers:
                    server.look()
        for server in servers:
            server.del_channel(connections)  # takes no more connections
        end = time.monotonic() + self.cfg.graceful_timeout
        from messaging import send_at_once  # not before Django is set up

        while (any(each.is_busy() for each in servers) or send_at_once.is_at_work()) and time.monotonic() < end:
            self.notify()
            for server in servers:
                server.look()
            wasyncore.loop(0.1, use_poll=True, map=connections, count=1)


def _look_at_the_database() -> None:
    from config.wsgi import look_at_the_database

    look_at_the_database()


def _set_limits() -> int:
    """How many connections the limits leave room for: where a file is wanted beyond them, no one is answered."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # there are secrets in it
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_EACH * CONNECTIONS
    files = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return CONNECTIONS if files == wanted else max(1, (files - FILES_BESIDE) // FILES_EACH)


def _adjustments(threads: int) -> Adjustments:
    from django.conf import settings

    return Adjustments(
        threads=threads,
        ident=None,
        connection_limit=4 * CONNECTIONS,  # never reached: see Server.handle_accept
        inbuf_overflow=LARGEST_BODY_IN_MEMORY,
        outbuf_high_watermark=FREE_DISK_FOR_ANSWERS,
        max_request_header_size=65536,
        # The console says in words how large a message may be; this is what it is not even shown.
        max_request_body_size=2 * settings.MAX_MESSAGE_BYTES + 1024 * 1024,
        # Django reads them, with BEHIND_PROXY alone; else no one gets to see what a stranger claims.
        clear_untrusted_proxy_headers=not settings.BEHIND_PROXY,
        log_socket_errors=False,
    )


Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def within_time(application: Application) -> Application:
    """The application with a page for a request that was ended, and without a body for HEAD (RFC 9110 9.3.2)."""

    from config.postgresql.base import limit_waits_for_locks, limits

    limit_waits_for_locks()

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        limits.reading, limits.writing = READING_SECONDS, WRITING_SECONDS
        try:
            found = application(environ, start_response)
        except OutOfTime:
            from django.db import connections
            from django.template.loader import render_to_string

            connections.close_all()  # whatever they were in the middle of
            page = render_to_string("503.html").encode()
            headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))]
            start_response("503 Service Unavailable", [*headers, ("Cache-Control", "no-store")])
            found = [page]
        if environ["REQUEST_METHOD"] != "HEAD":
            return found
        getattr(found, "close", lambda: None)()
        return []

    return answer
