"""The platform: the only importer of js, pyodide and workers, with a stand-in for CPython (tests, tools)."""

import sys

from tandem.runtime.ports import Alarm, Counters, Database, Env, Objects, Param, Queue, Request, Row, Sql, Statement

if sys.platform == "emscripten":
    from tandem.runtime.workerd import (
        DurableObject,
        WorkerEntrypoint,
        counters,
        heap_bytes,
        http_post,
        make_env,
        now_ms,
        object_alarm,
        object_sql,
        queue_texts,
        random_bytes,
        read_request,
        respond,
    )
else:
    from tandem.runtime.cpython import (
        DurableObject,
        WorkerEntrypoint,
        counters,
        heap_bytes,
        http_post,
        make_env,
        now_ms,
        object_alarm,
        object_sql,
        queue_texts,
        random_bytes,
        read_request,
        respond,
    )

__all__ = [
    "Alarm",
    "Counters",
    "Database",
    "DurableObject",
    "Env",
    "Objects",
    "Param",
    "Queue",
    "Request",
    "Row",
    "Sql",
    "Statement",
    "WorkerEntrypoint",
    "counters",
    "heap_bytes",
    "http_post",
    "make_env",
    "now_ms",
    "object_alarm",
    "object_sql",
    "queue_texts",
    "random_bytes",
    "read_request",
    "respond",
]
