"""The agent's configuration file: one JSON object, checked whole before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ConfigError(Exception):
    """One sentence that says what is wrong with the configuration."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Address(_Model):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)]


class EmbeddedMedia(_Model):
    """PJSIP on UDP ports of `host` from `sip_port` on; `callers`: the most at once."""

    engine: Literal["embedded"]
    host: str = "127.0.0.1"
    sip_port: Annotated[int, Field(ge=1, le=65_535)]
    rtp_min: Annotated[int, Field(ge=1, le=65_535)]
    rtp_max: Annotated[int, Field(ge=1, le=65_535)]
    callers: Annotated[int, Field(ge=1)] = 40


class FreeSwitchMedia(_Model):
    """`esl` is the switch's event socket, `password_file` has its password; `socket` is ours, where it hands its calls
    to. Without `callers` it takes as many as the machine bears."""

    engine: Literal["freeswitch"]
    sip: Address
    esl: Address
    password_file: Path
    socket: Address
    callers: Annotated[int, Field(ge=1)] | None = None


class PromptConfig(_Model):
    """`cache_mb`: what the prompts on disk may take. `speech`: what speaks texts that nobody has spoken yet."""

    cache_mb: Annotated[int, Field(ge=1)] = 2048
    speech: Literal["espeak-ng", "none"] = "espeak-ng"


class Config(_Model):
    """Times in seconds. `data` is the folder of the agent's own files; `rpc_url` Kamailio's JSON-RPC over HTTP.

    Without `rpc_url` the node's live calls and contacts are known from events alone; without `rtpengine` the load
    carries no media sessions. `sip_address` is `host:port` for SIP over UDP, as phones and other nodes reach it, `sip`
    the same as the node's own processes do. Without `media` no call is answered here. `flow_patience`: how long a
    caller in the engine waits for a brain that is away, for a command or for a sound.
    """

    node: Annotated[str, Field(min_length=1)]
    region: str = "local"
    version: str = "0"
    brain_url: Annotated[str, Field(pattern=r"^https?://[^/]+$")]
    credential_file: Path
    evapi: Address
    listen: Address
    data: Path
    rpc_url: str | None = None
    rtpengine: Address | None = None
    command_url: str | None = None
    sip_address: str | None = None
    sip: Address = Address(port=5060)
    media: Annotated[EmbeddedMedia | FreeSwitchMedia, Field(discriminator="engine")] | None = None
    prompts: PromptConfig = PromptConfig()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    flow_patience: Annotated[float, Field(gt=0)] = 30.0
    decision_timeout: Annotated[float, Field(gt=0, le=30)] = 3.0
    heartbeat_interval: Annotated[float, Field(gt=0, le=60)] = 2.0
    rebuild_interval: Annotated[float, Field(gt=0)] = 60.0
    max_questions: Annotated[int, Field(ge=1)] = 1024
    max_questions_per_domain: Annotated[int, Field(ge=1)] = 256
    max_buffered_events: Annotated[int, Field(ge=1)] = 200_000

    @property
    def command_address(self) -> str:
        """Where the brain reaches `POST /commands`: through the tunnel, or directly on one machine."""
        return self.command_url or f"http://{self.listen.host}:{self.listen.port}"


def load(path: Path) -> Config:
    """Raises `ConfigError`."""
    try:
        return Config.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"The configuration {path} is wrong at {field}: {first['msg']}.") from error


def read_credential(path: Path) -> str:
    """The node's secret, or another that stands alone in a file. Raises `ConfigError`."""
    try:
        credential = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The node's credential {path} cannot be read; enrol the node.") from error
    if not credential:
        raise ConfigError(f"The node's credential {path} is empty; enrol the node.")
    return credential
