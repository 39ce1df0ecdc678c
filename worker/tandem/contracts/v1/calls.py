"""Records of calls, what would happen to one, and the console login."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from tandem.contracts.v1.base import AccountId, Fields
from tandem.contracts.v1.fields import Text


class Call(BaseModel):
    """The record of a call (CDR). Times are epoch ms."""

    id: str = Field(description="The call_id.")
    account_id: str
    correlation_id: str | None = Field(description="What calls across accounts have in common.")
    direction: str = Field(description="internal, inbound or outbound.")
    from_num: str
    to_num: str
    start_ts: int
    answer_ts: int | None
    end_ts: int | None = Field(description="Null: the call goes on.")
    duration_sec: int | None
    billsec: int | None
    answered: bool
    disposition: str | None = Field(description="answered, no_answer, busy, failed, rejected or abandoned.")
    hangup_cause: str | None
    hangup_by: str | None
    user_id: str | None = Field(description="Who called.")
    callee_user_id: str | None = Field(description="Who answered, or was called.")
    did_id: str | None
    trunk_id: str | None
    ring_group_id: str | None
    node_id: str | None
    region: str | None
    mos: float | None = Field(description="Quality of the voice, 1 to 5.")
    media_app_ms: int
    cac_refused_by: str | None = Field(description="The limit that refused it.")
    limit_warnings: list[str] = Field(description="Ids of soft limits that it went over.")


class ExplainRequest(BaseModel):
    """A call that is only imagined."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)

    account_id: AccountId = None
    from_: Text = Field(alias="from", min_length=1, description="Username, extension or number of the caller.")
    to: Text = Field(min_length=1, description="What is dialled.")
    at: Annotated[int, Field(ge=0, le=2**48 - 1)] | None = Field(None, description="Epoch ms; default: now.")
    source_ip: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Where a call from outside comes from."
    )
    source_port: int = Field(5060, ge=1, le=65_535, description="The port there; only some trunks name one.")


class ExplainReply(BaseModel):
    ok: bool
    directive: dict[str, Any] = Field(description="What /route would answer.")
    steps: list[dict[str, Any]] = Field(description="The rules that led there, in order.")


class LoginRequest(Fields):
    email: Annotated[str, Field(min_length=1, max_length=254)]
    password: Annotated[str, Field(min_length=1, max_length=128)]


class LoginReply(BaseModel):
    ok: bool
    token: str = Field(description="For `Authorization: Bearer`.")
    expires_at: int = Field(description="Epoch ms.")
    account_id: str | None
    role: str
    scopes: list[str]
