"""What the brain needs of its platform, as types. `workerd.py` and `cpython.py` implement them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

Param = str | int | float | None
Row = dict[str, Any]
T = TypeVar("T")


class Sql(Protocol):
    """A Durable Object's own SQLite. Synchronous: reading it is reading state."""

    def run(self, statement: str, *params: Param) -> int:
        """Executes a statement that returns no rows; the number of rows written (index rows count too)."""
        ...

    def json(self, statement: str, *params: Param) -> Any:
        """The decoded JSON of a statement that yields exactly one row with one text column named `j`."""
        ...

    def script(self, statements: str) -> None:
        """Executes several statements without parameters."""
        ...

    def transaction(self, body: Callable[[], T]) -> T:
        """Runs `body` atomically: an exception undoes its writes and goes on to the caller."""
        ...


Statement = tuple[str, Sequence[Param]]


class Database(Protocol):
    """D1: the relational source of truth. Reads see the primary."""

    async def batch(self, statements: Sequence[Statement]) -> list[list[Row]]:
        """Executes all statements in one transaction; the rows of each."""
        ...


class Objects(Protocol):
    """A namespace of Durable Objects."""

    async def call(self, name: str, method: str, *texts: str) -> str:
        """Calls `method` of the object `name`; texts in, text out."""
        ...


class Queue(Protocol):
    async def put(self, text: str) -> None: ...

    async def put_all(self, texts: Sequence[str]) -> None:
        """Any number of messages; in order, in as few calls as the platform allows."""
        ...


class Rate(Protocol):
    """How often a key may come, counted by the platform over all isolates of a place."""

    async def allows(self, key: str) -> bool: ...


class Content(Protocol):
    """Bytes that need not pass through Python: a request's body on its way into a bucket, an object on its way out.
    It can be taken once: by `read`, by a bucket, or as a reply's. Raises `ConnectionError` when it breaks off."""

    @property
    def size(self) -> int:
        """In bytes."""
        ...

    async def read(self) -> bytes: ...


class Upload(Content, Protocol):
    """A request's body."""

    async def head(self, count: int) -> bytes:
        """The first bytes, at most `count`. To be asked once, before the content is taken."""
        ...

    async def discard(self) -> None:
        """Takes what nobody took off the wire, so that its sender gets to read the reply."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of a bucket. `etag` names its content; `content` None: it was not asked for."""

    etag: str
    size: int
    media_type: str
    content: Content | None = None


class Bucket(Protocol):
    """R2. Raises `ConnectionError` when it cannot be reached."""

    async def put(self, key: str, content: Content | bytes, media_type: str) -> Stored: ...

    async def put_new(self, key: str, content: Content | bytes, media_type: str) -> Stored | None:
        """None, and nothing changed, when there is such an object already."""
        ...

    async def get(self, key: str, etag: str = "") -> Stored | None:
        """Without the content when it is still the one that `etag` names."""
        ...

    async def head(self, key: str) -> Stored | None: ...

    async def delete(self, *keys: str) -> None: ...


class Alarm(Protocol):
    """The single alarm of a Durable Object."""

    def at_latest(self, due_ms: int) -> None:
        """Sees to it that the alarm rings at `due_ms` or before."""
        ...

    def rang(self) -> None:
        """To be called first thing when the alarm rings."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request; `header` looks up a name (lower case) and gives `""` when it is absent.

    A body that is no text is `content`; None when its length was not announced.
    """

    method: str
    path: str
    query: Mapping[str, str]
    target: str
    header: Callable[[str], str]
    body: str
    content: Upload | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply; `afterwards` is work that nobody waits for, `content` what is sent instead of `text`."""

    status: int
    text: str
    headers: Mapping[str, str]
    afterwards: Callable[[], Awaitable[None]] | None = None
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What another server answered, up to the size that was asked for."""

    status: int
    body: bytes


@dataclass(slots=True)
class Counters:
    """What this isolate did since it started; Durable Objects that share the isolate count here too."""

    requests: int = 0
    d1_queries: int = 0
    object_hops: int = 0


@dataclass(frozen=True, slots=True)
class Env:
    """The bindings of wrangler.toml, typed. `http_allow`: `host:port` that HTTP nodes may ask though they are not
    public (the variable TANDEM_HTTP_ALLOW, separated by commas; for an installation on one machine)."""

    control: Database
    presence: Objects
    fleet: Objects
    pokes: Queue
    master_key: str
    version: str
    extras: Mapping[str, str] = field(default_factory=dict)
    api_rate: Rate | None = None
    http_allow: frozenset[str] = frozenset()
    sessions: Objects = field(kw_only=True)
    media: Bucket = field(kw_only=True)
