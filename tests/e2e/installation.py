"""A whole installation of its own for tests: private ports and state, the parts of `make up` under its supervisor."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edge_node.local import bundle, demo_data, demo_rows, probe, render
from edge_node.local.installation import programs
from edge_node.local.settings import LOOPBACK, MEDIA_SIP_PORTS, PORTS, REPOSITORY, Settings, load
from edge_node.local.supervise import Supervisor
from edge_node.local.waiting import wait_until
from tandem.domain.digest import make_secrets
from tests.e2e.fault_proxy import FaultProxy
from tests.edge.raw_sip import RawPhone
from tests.support import control_db, ports

RTP_PORTS = 1000
MEDIA_RTP_PORTS = 500
MEDIA_SIP_BASE = 13_200
# How long a caller in the engine waits for a brain that is away: half of what he does in production.
PATIENCE_SEC = 15
# A dead call is found within seconds, where production takes a minute or two.
QUICK = {
    "kamailio_dialog_keepalive_sec": 30,
    "rtpengine_media_timeout_sec": 10,
    "node_agent_flow_patience_sec": PATIENCE_SEC,
}


class Installation:
    """Started once for all tests of a layer; `demo` is its demo.json."""

    def __init__(self, state: Path) -> None:
        self.settings = _settings(state)
        self.proxy = FaultProxy(ports.free()[0], f"http://{LOOPBACK}:{self.settings.brain_port}")
        self.settings = _settings(state, self.settings, self.proxy.url)
        self.supervisor = Supervisor(self.settings)
        self.control_port = ports.free()[0]
        # Where a test may have a server of its own that flows ask.
        self.web_port = ports.free()[0]
        self.since = 0
        # What the brain runs: a link, so that it can be another brain the next time it starts.
        self.source = state / "source"

    def __enter__(self) -> Self:
        settings = self.settings
        self.source.symlink_to(REPOSITORY)
        # The runtime, and the interpreter's memory as others of this machine left it.
        (settings.state / "bundle").symlink_to(bundle.pack(REPOSITORY / "node_modules", load().state / "bundle").parent)
        control_db.put(settings)
        demo_data.prepare(settings)
        self._allow_web(settings)
        render.render(settings, QUICK)
        self.demo: dict[str, Any] = json.loads((settings.state / "demo.json").read_text())
        self.proxy.__enter__()
        try:
            self.supervisor.start(programs(settings, self.control_port, self.source))
            self.wait_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.supervisor.stop()
        self.proxy.__exit__(kind, error, trace)

    @contextlib.contextmanager
    def changed_brain(self, version: str, **edits: tuple[str, str]) -> Iterator[None]:
        """Another brain lies ready for whoever redeploys: its version, and in files (`tandem__domain__x`: of
        tandem/domain/x.py) one text for another. The old one runs again afterwards."""
        changed = self.settings.state / f"source-{version}"
        shutil.copytree(REPOSITORY / "worker", changed / "worker", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPOSITORY / "wrangler.toml", changed)
        for name in ("node_modules", "python_modules"):
            (changed / name).symlink_to(REPOSITORY / name)
        for module, (old, new) in edits.items():
            path = changed / "worker" / f"{module.replace('__', '/')}.py"
            text = path.read_text()
            assert text.count(old) == 1, f"{module} has {old!r} {text.count(old)} times"
            path.write_text(text.replace(old, new))
        variables = self.settings.secrets / "brain.json"
        before = variables.read_text()
        variables.write_text(json.dumps(json.loads(before) | {"TANDEM_VERSION": version}))
        self._run(changed)
        try:
            yield
        finally:
            variables.write_text(before)
            self._run(REPOSITORY)
            if probe.brain_version(self.settings) == version:
                self.supervisor.restart("brain")
                self.wait_ready()
            shutil.rmtree(changed)

    def _run(self, source: Path) -> None:
        self.source.unlink()
        self.source.symlink_to(source)

    def _allow_web(self, settings: Settings) -> None:
        """HTTP nodes of flows reach no private address but this one."""
        path = settings.secrets / "brain.json"
        variables = json.loads(path.read_text()) | {"TANDEM_HTTP_ALLOW": f"{LOOPBACK}:{self.web_port}"}
        path.write_text(json.dumps(variables))

    def wait_ready(self) -> None:
        for name, check in probe.checks(self.settings).items():
            wait_until(partial(_passes, check), 60, name)

    def user(self, extension: str, account: int = 0) -> dict[str, Any]:
        """A demo user as demo.json has it."""
        users: list[dict[str, Any]] = self.account(account)["users"]
        return next(one for one in users if one["extension"] == extension)

    def account(self, number: int = 0) -> dict[str, Any]:
        account: dict[str, Any] = self.demo["accounts"][number]
        return account

    def cac(self, account: int = 0) -> dict[str, Any]:
        """`GET /cac` with the operator's key, past the proxy."""
        return self._get(f"/cac?accountId={self.account(account)['id']}")

    def live_calls(self, account: int = 0) -> int:
        return int(self.cac(account)["live_calls"])

    def wait_live(self, count: int, seconds: float = 10, account: int = 0) -> None:
        """With `count` 0 also until nothing holds a place in any limit: a place may leak without its call."""

        def reached() -> bool:
            view = self.cac(account)
            held = view["child_calls"] + sum(one["used"] for one in view["dimensions"])
            return view["live_calls"] == count and (count > 0 or held == 0)

        wait_until(reached, seconds, f"{count} live calls in the brain, and no place held without one")

    def forget_phones(self) -> None:
        """Takes off what is still registered of phones that are gone: the next test's calls find its own alone."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.settings.agent_port}/healthz", timeout=10) as reply:
            if not json.loads(reply.read())["contacts"]:
                return
        for account in self.demo["accounts"]:
            for user in account["users"]:
                edge = (LOOPBACK, self.settings.sip_port)
                with RawPhone(user["auth_username"], user["password"], account["domain"], edge) as phone:
                    phone.register(expires=0, contact="*")

    def engine_seconds(self) -> float:
        """How long callers' audio passed the engine, as the agent's metrics tell it."""
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.settings.agent_port}/metrics", timeout=10) as reply:
            lines = reply.read().decode().splitlines()
        (found,) = (line for line in lines if line.startswith("tandem_agent_media_app_seconds_total "))
        return float(found.split()[1])

    def wait_released(self, before: float) -> None:
        """Until the engine has let go of a call's media: only then its time grows."""
        wait_until(lambda: self.engine_seconds() > before, 5, "the engine to let go of the media")

    def counters(self) -> dict[str, Any]:
        return self._get("/ops/counters")

    def records(self, account: int = 0) -> list[dict[str, Any]]:
        """The account's call records in D1, oldest first."""
        for path in self.settings.brain_state.glob("v3/d1/*/*.sqlite"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                connection.row_factory = sqlite3.Row
                try:
                    rows = connection.execute(
                        "SELECT * FROM call_cdr WHERE account_id = ? ORDER BY start_ts", (self.account(account)["id"],)
                    ).fetchall()
                except sqlite3.OperationalError:
                    continue
                return [dict(row) for row in rows]
        return []

    def wait_record(
        self, matches: Callable[[dict[str, Any]], bool], seconds: float = 15, account: int = 0
    ) -> dict[str, Any]:
        """The newest record of a call of this test that matches, as soon as it is there."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found.extend(
                record for record in self.records(account) if record["start_ts"] >= self.since and matches(record)
            )
            return bool(found)

        wait_until(there, seconds, "the call's record")
        return found[-1]

    def wait_ended(self, **wanted: object) -> dict[str, Any]:
        """Such a record of a call that is over: columns and their values."""
        return self.wait_record(
            lambda one: one["end_ts"] is not None and all(one[name] == value for name, value in wanted.items())
        )

    def sql(self, statement: str, *params: str | int | None) -> None:
        """Writes configuration into D1 while the brain runs, and pokes the demo accounts as the API will."""
        self._control("/d1", {"sql": statement, "params": list(params)})
        for account in self.demo["accounts"]:
            self._post("/config/poke", {"accountId": account["id"]})

    def add_device(self, extension: str, auth_username: str) -> str:
        """A second device of a demo user, once; its password."""
        password = f"password-of-{auth_username}"
        account, user = self.account(), self.user(extension)
        digest = make_secrets(auth_username, account["domain"], password)
        self.sql(
            "INSERT INTO sip_device (id, account_id, user_id, auth_username, realm, ha1, ha1b, ha1_sha256, ha1b_sha256)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            demo_rows.fresh_id("dev"),
            account["id"],
            user["id"],
            auth_username,
            account["domain"],
            digest.ha1,
            digest.ha1b,
            digest.ha1_sha256,
            digest.ha1b_sha256,
        )
        return password

    def device_id(self, auth_username: str) -> str:
        found = self._get(f"/v1/devices?account_id={self.account()['id']}&auth_username={auth_username}")
        return str(found["items"][0]["id"])

    def wait_dialog_saved(self) -> None:
        """Until Kamailio has this test's answered call on disk, where it writes once a second."""
        self._wait_row("dialog", "state = 4 AND start_time >= ?", self.since // 1000)

    def wait_contact_saved(self, port: int) -> None:
        """Until Kamailio has the contact of a phone at this port on disk."""
        self._wait_row("location", "contact LIKE ?", f"%:{port}%")

    def _wait_row(self, table: str, condition: str, value: str | int) -> None:
        path = self.settings.node_state / f"data/kamailio/{table}.sqlite"

        def saved() -> bool:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                rows = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {condition}", (value,)).fetchone()
            return bool(rows[0])

        wait_until(saved, 10, f"the row of table {table}")

    @contextlib.contextmanager
    def second_node(self) -> Iterator[Settings]:
        """Node 2 on ports of its own, as `TANDEM_NODE=2 make up` adds it; taken away again afterwards."""
        settings = _settings(self.settings.state, brain_url=self.settings.brain_url, node=2)
        render.render(settings, QUICK)
        supervisor = Supervisor(settings)
        supervisor.start(programs(settings))
        try:
            for name, check in probe.checks(settings).items():
                wait_until(partial(_passes, check), 60, f"{name} of node 2")
            yield settings
        finally:
            supervisor.stop()

    def pid(self, part: str) -> int:
        return self.supervisor.states()[part].pid

    @contextlib.contextmanager
    def without(self, part: str) -> Iterator[None]:
        """A part that is down for a while; up and ready again afterwards, whatever happened."""
        self.supervisor.stop_process(part)
        try:
            yield
        finally:
            self.supervisor.start_process(part)
            self.wait_ready()

    def kill(self, part: str) -> int:
        """kill -9 of a part's process group; the supervisor starts it again. The killed pid."""
        pid = self.pid(part)
        os.killpg(os.getpgid(pid), signal.SIGKILL)
        return pid

    def _control(self, path: str, fields: dict[str, Any]) -> None:
        self._send(f"http://{LOOPBACK}:{self.control_port}{path}", fields)

    def _post(self, path: str, fields: dict[str, Any]) -> None:
        self._send(f"http://{LOOPBACK}:{self.settings.brain_port}{path}", fields)

    def _send(self, url: str, fields: dict[str, Any]) -> None:
        headers = {"x-api-key": self.demo["api_key"], "content-type": "application/json"}
        request = urllib.request.Request(url, json.dumps(fields).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            reply.read()

    def _get(self, target: str) -> dict[str, Any]:
        url = f"http://{LOOPBACK}:{self.settings.brain_port}{target}"
        request = urllib.request.Request(url, headers={"x-api-key": self.demo["api_key"]})
        with urllib.request.urlopen(request, timeout=10) as reply:
            found: dict[str, Any] = json.loads(reply.read())
            return found


def _passes(check: Callable[[], object | None]) -> bool:
    return check() is not None


def _settings(state: Path, known: Settings | None = None, brain_url: str = "", node: int = 1) -> Settings:
    """Settings with ports that are free now; the same ones again when `known` is given."""
    names = [name for name in PORTS if "_RTP_" not in name and name != "TANDEM_MEDIA_SIP_PORT"]
    environment = dict(zip(names, map(str, ports.free(len(names))), strict=True))
    if known is not None:
        environment = {name: str(getattr(known, name.removeprefix("TANDEM_").lower())) for name in names}
    place = 2 * ports.place() + node - 1
    base, media = 41_000 + place * RTP_PORTS, 15_200 + place * MEDIA_RTP_PORTS
    environment |= {"TANDEM_RTP_MIN": str(base), "TANDEM_RTP_MAX": str(base + RTP_PORTS - 1)}
    environment |= {"TANDEM_MEDIA_RTP_MIN": str(media), "TANDEM_MEDIA_RTP_MAX": str(media + MEDIA_RTP_PORTS - 1)}
    environment["TANDEM_MEDIA_SIP_PORT"] = str(MEDIA_SIP_BASE + place * MEDIA_SIP_PORTS)
    return load({**environment, "TANDEM_STATE": str(state), "TANDEM_BRAIN_URL": brain_url, "TANDEM_NODE": str(node)})
