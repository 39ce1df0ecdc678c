"""The entry of a Worker that runs the cases: `GET /<case>` gives `{"failure": null}`, or what differed."""

from __future__ import annotations

import asyncio
import json
import traceback
from typing import Any

import js
from pyodide.ffi import to_js
from runtime_cases import CASES, Stage  # type: ignore[import-not-found]  # in the Worker it lies beside this file

from tandem.runtime import (
    DurableObject,
    WorkerEntrypoint,
    erase,
    make_env,
    object_alarm,
    object_sql,
    read_request,
    respond,
)
from tandem.runtime.workerd_bucket import BodyContent


class Presence(DurableObject):
    def __init__(self, ctx: Any, env: Any) -> None:
        super().__init__(ctx, env)
        self._sql, self._alarm, self._bindings = object_sql(ctx), object_alarm(ctx), make_env(env)
        self._given: list[str] = []

    async def check(self, case: str) -> str:
        try:
            bindings = self._bindings
            stage = Stage(
                self._sql,
                bindings.control,
                bindings.presence,
                self._alarm,
                self._alarm_due,
                bindings.media,
                _upload,
                lambda: erase(self.ctx),
            )
            await CASES[case](stage)
        except Exception:
            return json.dumps({"failure": traceback.format_exc()})
        return json.dumps({"failure": None})

    async def _alarm_due(self) -> int | None:
        due = await self.ctx.storage.getAlarm()
        return due if due is None else int(due)

    async def echo(self, text: str) -> str:
        return text

    async def ponder(self, seconds: str) -> str:
        await asyncio.sleep(float(seconds))
        return seconds

    async def keep(self, text: str) -> str:
        self._given.append(text)
        return ",".join(self._given)


def _upload(content: bytes) -> BodyContent:
    """What `read_request` makes of a request with this body."""
    options = {"method": "PUT", "body": content, "duplex": "half"}
    request = js.Request.new("http://probe/", to_js(options, dict_converter=js.Object.fromEntries))
    return BodyContent(request, len(content))


class Fleet(DurableObject):
    pass


class CallSession(DurableObject):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        case = (await read_request(request, lambda path: 1024)).path.removeprefix("/")
        return respond(200, await make_env(self.env).presence.call("stage", "check", case))
