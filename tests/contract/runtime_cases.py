"""What both platforms (`tandem.runtime.cpython`, `tandem.runtime.workerd`) must do alike. Also runs inside a Worker.

A case gets a `Stage` and raises when something differs; a storage case works on tables of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tandem.runtime import Alarm, Bucket, Database, Objects, Sql, Upload, counters, http_fetch, http_post, now_ms

TEXTS = ("", 'it\'s "quoted"', "a\\b\n\t", "Zoë 😀 𝄞", "%?;--", "1")
INTEGERS = (0, -1, 1, 2**31, -(2**31) - 1, 2**53 - 2, -(2**53) + 2)


@dataclass(frozen=True)
class Stage:
    """`objects` has the methods `echo(text)`, `ponder(seconds)`, and `keep(text)` that returns all it was ever given.

    `alarm_due` tells when the alarm will ring (epoch ms), `erase` drops all that the object keeps. `upload` gives such
    a body of a request as is being sent.
    """

    sql: Sql
    control: Database
    objects: Objects
    alarm: Alarm
    alarm_due: Callable[[], Awaitable[int | None]]
    bucket: Bucket
    upload: Callable[[bytes], Upload]
    erase: Callable[[], Awaitable[None]]


async def values_survive(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE v (k INTEGER PRIMARY KEY, v)")
    for number, value in enumerate((None, 1.5, *TEXTS, *INTEGERS)):
        sql.run("INSERT INTO v VALUES (?, ?)", number, value)
        found = sql.json("SELECT json_array(v, typeof(v)) AS j FROM v WHERE k = ?", number)
        kind = {type(None): ("null",), str: ("text",), float: ("real",), int: ("integer", "real")}[type(value)]
        equal(found[0], value)
        assert found[1] in kind, found


async def integers_are_stored_as_integers(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE i (v INTEGER)")
    for value in INTEGERS:
        sql.run("DELETE FROM i")
        sql.run("INSERT INTO i VALUES (?)", value)
        equal(sql.json("SELECT json_array(v, typeof(v)) AS j FROM i"), [value, "integer"])


async def null_means_absent(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE n (v)")
    sql.run("INSERT INTO n VALUES (?)", None)
    equal(sql.json("SELECT json_array(count(*)) AS j FROM n WHERE v IS ?", None), [1])
    equal(sql.json("SELECT json_array(count(*)) AS j FROM n WHERE v IS NULL"), [1])


async def run_counts_what_was_written(stage: Stage) -> None:
    """Whether rows were written is alike; how many is not, since workerd counts rows of indexes too."""
    sql = stage.sql
    sql.run("CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    equal(sql.run("INSERT INTO w VALUES (?, ?) ON CONFLICT DO NOTHING", "a", 1), 1)
    equal(sql.run("INSERT INTO w VALUES (?, ?) ON CONFLICT DO NOTHING", "a", 2), 0)
    equal(sql.run("DELETE FROM w WHERE k = ?", "b"), 0)
    equal(sql.run("DELETE FROM w WHERE k = ?", "a"), 1)


async def json_of_none_and_many(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE m (k INTEGER)")
    query = "SELECT json_group_array(json_array(k)) AS j FROM m"
    equal(sql.json(query), [])
    for number in range(500):
        sql.run("INSERT INTO m VALUES (?)", number)
    equal(sql.json(query), [[number] for number in range(500)])


async def scripts_run_every_statement(stage: Stage) -> None:
    stage.sql.script("CREATE TABLE s (k TEXT);\n-- it's a comment; with this\nINSERT INTO s VALUES ('a;b');\n")
    equal(stage.sql.json("SELECT json_group_array(k) AS j FROM s"), ["a;b"])


class _OwnError(Exception):
    pass


async def transactions_keep_all_or_nothing(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE t (k INTEGER)")

    def write() -> str:
        sql.run("INSERT INTO t VALUES (1)")
        return "done"

    def fail() -> None:
        sql.run("INSERT INTO t VALUES (2)")
        raise _OwnError("why")

    equal(sql.transaction(write), "done")
    try:
        sql.transaction(fail)
    except _OwnError as error:
        equal(str(error), "why")
    else:
        raise AssertionError("the exception was lost")
    equal(sql.json("SELECT json_group_array(k) AS j FROM t"), [1])
    equal(sql.transaction(lambda: None), None)


async def batches_are_atomic(stage: Stage) -> None:
    control, before = stage.control, counters.d1_queries
    await control.batch([("CREATE TABLE b (k TEXT PRIMARY KEY, v)", ())])
    insert = "INSERT INTO b VALUES (?, ?)"
    values: tuple[str | int | float | None, ...] = (None, 1.5, *TEXTS, *INTEGERS)
    await control.batch([(insert, (f"k{number:02d}", value)) for number, value in enumerate(values)])
    found = await control.batch(
        [("SELECT v FROM b ORDER BY k", ()), ("SELECT v FROM b WHERE k = 'none'", ()), ("SELECT k FROM b LIMIT 1", ())]
    )
    equal(found, [[{"v": value} for value in values], [], [{"k": "k00"}]])
    try:
        await control.batch([(insert, ("new", 1)), (insert, ("k00", 1))])
    except Exception as error:
        equal("UNIQUE" in str(error), True)
    else:
        raise AssertionError("a batch that breaks a constraint went through")
    equal(await control.batch([("SELECT k FROM b WHERE k = ?", ("new",))]), [[]])
    equal(counters.d1_queries - before, 5)


async def texts_pass_between_objects(stage: Stage) -> None:
    before = counters.object_hops
    for text in (*TEXTS, "x" * 200_000):
        equal(await stage.objects.call("echo", "echo", text), text)
    equal(counters.object_hops - before, len(TEXTS) + 1)


async def objects_are_apart(stage: Stage) -> None:
    equal(await stage.objects.call("one", "keep", "a"), "a")
    equal(await stage.objects.call("two", "keep", "b"), "b")
    equal(await stage.objects.call("one", "keep", "c"), "a,c")


async def an_object_that_does_not_answer_is_given_up(stage: Stage) -> None:
    began = now_ms()
    try:
        async with asyncio.timeout(0.2):
            await stage.objects.call("silent", "ponder", "3")
    except TimeoutError:
        assert now_ms() - began < 2_000
    else:
        raise AssertionError("it answered")
    equal(await stage.objects.call("silent", "echo", "and lives"), "and lives")


async def the_earliest_alarm_rings(stage: Stage) -> None:
    alarm, hour = stage.alarm, now_ms() + 3_600_000
    alarm.at_latest(hour)
    equal(await stage.alarm_due(), hour)
    alarm.at_latest(hour + 1_000)
    equal(await stage.alarm_due(), hour)
    alarm.at_latest(hour - 1_000)
    equal(await stage.alarm_due(), hour - 1_000)
    alarm.rang()
    alarm.at_latest(hour + 1_000)
    equal(await stage.alarm_due(), hour + 1_000)


async def nobody_listening_is_a_connection_error(stage: Stage) -> None:
    try:
        await http_post("http://127.0.0.1:1/commands", "{}", {}, 2_000)
    except ConnectionError:
        return
    raise AssertionError("an answer from nobody")


async def nobody_to_fetch_from_is_a_connection_error(stage: Stage) -> None:
    try:
        await http_fetch("POST", "http://127.0.0.1:1/", {"x": "y"}, "{}", 2_000, 100)
    except ConnectionError:
        return
    raise AssertionError("an answer from nobody")


async def what_is_erased_is_gone(stage: Stage) -> None:
    sql = stage.sql
    sql.run("CREATE TABLE e (v)")
    sql.run("CREATE INDEX e_v ON e (v)")
    sql.run("INSERT INTO e VALUES (1)")
    stage.alarm.at_latest(now_ms() + 3_600_000)
    await stage.erase()
    tables = "SELECT json_group_array(name) AS j FROM sqlite_master WHERE type = 'table' AND name = 'e'"
    equal(sql.json(tables), [])
    equal(await stage.alarm_due(), None)
    sql.run("CREATE TABLE e (v)")
    equal(sql.json("SELECT json_group_array(v) AS j FROM e"), [])


LARGE = bytes(range(256)) * 8_192


async def objects_of_a_bucket_are_what_was_put(stage: Stage) -> None:
    bucket = stage.bucket
    for key, content in (("a/empty", b""), ("a/small", b"\x00\xff"), ("a/large", LARGE)):
        put = await bucket.put(key, content, "audio/wav")
        equal((put.size, put.media_type, put.content), (len(content), "audio/wav", None))
        found = await bucket.get(key)
        assert found is not None
        assert found.content is not None
        equal(
            (found.etag, found.size, found.media_type, found.content.size), (put.etag, put.size, "audio/wav", put.size)
        )
        equal(await found.content.read(), content)
        equal(await bucket.head(key), put)
    again = await bucket.put("a/small", b"other", "audio/ogg")
    equal(await bucket.head("a/small"), again)
    equal((await bucket.put("a/copy", b"other", "audio/ogg")).etag, again.etag)


async def an_object_that_is_known_already_is_not_sent_again(stage: Stage) -> None:
    put = await stage.bucket.put("b/one", b"sound", "audio/wav")
    same = await stage.bucket.get("b/one", put.etag)
    equal(same, put)
    other = await stage.bucket.get("b/one", "0" * 32)
    assert other is not None
    assert other.content is not None
    equal(await other.content.read(), b"sound")


async def the_first_object_stays(stage: Stage) -> None:
    first = await stage.bucket.put_new("c/one", b"first", "audio/wav")
    assert first is not None
    equal(await stage.bucket.put_new("c/one", b"second", "audio/wav"), None)
    equal(await stage.bucket.head("c/one"), first)


async def what_is_deleted_is_not_there(stage: Stage) -> None:
    for key in ("d/one", "d/two"):
        await stage.bucket.put(key, b"x", "audio/wav")
    await stage.bucket.delete("d/one", "d/two", "d/never")
    for key in ("d/one", "d/two", "d/never"):
        equal(await stage.bucket.get(key), None)
        equal(await stage.bucket.head(key), None)


async def an_upload_is_looked_into_and_then_put(stage: Stage) -> None:
    for number, content in enumerate((b"", b"short", LARGE)):
        for looks in (True, False):
            upload = stage.upload(content)
            equal(upload.size, len(content))
            if looks:
                equal(await upload.head(8), content[:8])
            put = await stage.bucket.put(f"e/{number}", upload, "audio/wav")
            found = await stage.bucket.get(f"e/{number}")
            assert found is not None
            assert found.content is not None
            equal((found.etag, await found.content.read()), (put.etag, content))
    upload = stage.upload(LARGE)
    await upload.head(1)
    equal(await upload.read(), LARGE)
    await stage.upload(LARGE).discard()


def equal(found: Any, wanted: Any) -> None:
    assert found == wanted, f"{found!r} instead of {wanted!r}"


CASES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    case.__name__: case
    for case in (
        values_survive,
        integers_are_stored_as_integers,
        null_means_absent,
        run_counts_what_was_written,
        json_of_none_and_many,
        scripts_run_every_statement,
        transactions_keep_all_or_nothing,
        batches_are_atomic,
        texts_pass_between_objects,
        objects_are_apart,
        an_object_that_does_not_answer_is_given_up,
        the_earliest_alarm_rings,
        nobody_listening_is_a_connection_error,
        nobody_to_fetch_from_is_a_connection_error,
        what_is_erased_is_gone,
        objects_of_a_bucket_are_what_was_put,
        an_object_that_is_known_already_is_not_sent_again,
        the_first_object_stays,
        what_is_deleted_is_not_there,
        an_upload_is_looked_into_and_then_put,
    )
}
