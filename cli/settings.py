"""Which brain, as whom: options first, then the environment, then the configuration file, then a local installation."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cli.errors import MissingError

LOCAL_URL: Final = "http://127.0.0.1:8787"
_DEMO: Final = Path(__file__).resolve().parents[1] / ".local" / "demo.json"


@dataclass(frozen=True, slots=True)
class Access:
    """`key` is an API key (`sk_…`) or a console token; `account` narrows a reseller's or operator's view."""

    url: str
    key: str
    account: str | None


def config_path(environ: Mapping[str, str] | None = None) -> Path:
    env = os.environ if environ is None else environ
    base = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "tandem" / "config.json"


def access(
    url: str | None, key: str | None, account: str | None, environ: Mapping[str, str] | None = None, demo: Path = _DEMO
) -> Access:
    """Raises `CliError` that says how to give what is missing."""
    env = os.environ if environ is None else environ
    found = Access(
        url or env.get("TANDEM_URL", ""), key or env.get("TANDEM_API_KEY", ""), account or env.get("TANDEM_ACCOUNT")
    )
    for source in (config_path(env), Path(env["TANDEM_STATE"]) / "demo.json" if env.get("TANDEM_STATE") else demo):
        found = _fill(found, source)
    if not found.key:
        raise MissingError(
            "No API key: give --key, set TANDEM_API_KEY, run `tandem login`, or `make up` for a local installation."
        )
    return replace(found, url=(found.url or LOCAL_URL).rstrip("/"))


def remember(given: Access, environ: Mapping[str, str] | None = None) -> Path:
    """Writes the configuration file (mode 600)."""
    path = config_path(environ)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    content = {"url": given.url, "key": given.key, "account": given.account}
    path.write_text(json.dumps({name: value for name, value in content.items() if value}, indent=1) + "\n")
    return path


def _fill(found: Access, source: Path) -> Access:
    """What is missing, from one file. A key goes only to the brain that it is for."""
    if found.key or not source.is_file():
        return found
    try:
        content: Any = json.loads(source.read_text())
        url, key, account = (
            content.get("url") or content.get("brain"),
            content.get("key") or content.get("api_key"),
            None,
        )
        account = content.get("account")
    except (OSError, ValueError, AttributeError) as error:
        raise MissingError(f"{source} cannot be read ({error}); mend or remove it.") from error
    if found.url and url and found.url.rstrip("/") != str(url).rstrip("/"):
        return found
    return Access(found.url or str(url or ""), str(key or ""), found.account or account)
