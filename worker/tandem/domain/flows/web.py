"""The httpRequest node: what is asked, and what is taken from the reply. Where it may go is the shell's to say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tandem.domain.flows import document
from tandem.domain.flows.events import Fetch, Fetched
from tandem.domain.flows.results import Ask, Leave, Result, Scene
from tandem.domain.flows.values import LONGEST, BadValueError, Value, bounded

LARGEST_BODY: Final = 65_536  # characters of a request or a reply
LONGEST_URL: Final = 4_096
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_DEEPEST: Final = 50
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
# What frames the message or names its receiver is the client's.
_RESERVED: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})
_STATUS: Final = "status"


def url_problem(url: str) -> str | None:
    """What is wrong with a template of a URL: the host must be in it as it is, so that no variable decides it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("http", "https") or not host:
        return "it begins with no http:// or https:// and a host"
    if "{{" in parts.netloc:
        return "its host cannot be a variable"
    if "@" in parts.netloc:
        return "it has a user name in it; use a header"
    return None


def header_problem(name: str) -> str | None:
    if _TOKEN.fullmatch(name) is None:
        return "it is no name of a header"
    return "it is not for a flow to set" if name.lower() in _RESERVED else None


def ask(scene: Scene, data: document.HttpRequest) -> Result:
    """Values are escaped for where they stand: in the URL, a header, a body of JSON (the default) or of a form."""
    headers = {name: _CONTROLS.sub("", scene.render(one)) for name, one in data.headers.items()}
    body = None
    if data.body is not None:
        kinds = [value for name, value in headers.items() if name.lower() == "content-type"]
        if not kinds:
            headers["Content-Type"] = _JSON
        body = scene.render(data.body, _escape(kinds[0] if kinds else _JSON), LARGEST_BODY)
    url = scene.render(data.url, _percent, LONGEST_URL)
    fetch_id = scene.mint()
    return Ask(Fetch(fetch_id, data.method, url, tuple(headers.items()), body, data.timeout_ms))


def _escape(content_type: str) -> Callable[[str], str]:
    if _FORM in content_type.lower():
        return _percent
    return _in_json if "json" in content_type.lower() else str


def _percent(value: str) -> str:
    return quote(value, safe="")


def _in_json(value: str) -> str:
    return json.dumps(value)[1:-1]


def reply(data: document.HttpRequest, fetched: Fetched) -> Result:
    """`success` when all that is to be saved can be; a path that leads nowhere saves an empty text. Of a reply that is
    no success the status alone is saved."""
    if fetched.timed_out:
        return Leave("timeout", error=fetched.error or "the server took too long")
    if fetched.error is not None:
        return Leave("error", error=fetched.error)
    good = 200 <= fetched.status <= 299
    wanted = [one for one in data.save if good or one.path == _STATUS]
    try:
        values = _saved(wanted, fetched)
    except BadValueError as error:
        return Leave("error", error=str(error))
    secrets = frozenset(one.variable for one in wanted if one.secret)
    if good:
        return Leave("success", values, secrets)
    return Leave("error", values, secrets, error=f"the server answered {fetched.status}")


def _saved(wanted: Sequence[document.Save], fetched: Fetched) -> dict[str, Value]:
    found = parsed(fetched.body) if any(one.path != _STATUS for one in wanted) else None
    return {one.variable: fetched.status if one.path == _STATUS else _value(_at(found, one.path)) for one in wanted}


def parsed(body: str) -> Any:
    """Raises `BadValueError` for what is no JSON, or too large or too deep to be read."""
    if len(body) > LARGEST_BODY:
        raise BadValueError(f"the reply has more than {LARGEST_BODY} characters")
    depth = 0
    for char in re.findall(r"[\[{\]}]", body):
        depth += 1 if char in "[{" else -1
        if depth > _DEEPEST:
            raise BadValueError("the reply is nested too deep")
    try:
        return json.loads(body)
    except ValueError:
        raise BadValueError("the reply is no JSON") from None


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and len(name) < 6 and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _value(value: Any) -> Value:
    """Lists and objects as their JSON."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = json.dumps(value, separators=(",", ":"))
        if len(value) > LONGEST:
            raise BadValueError("what is to be saved is too long")
    return bounded(value)
