"""The rows of configuration that routing decides by, as it needs them."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.domain.target import Target


@dataclass(frozen=True, slots=True)
class User:
    """`allows_outside`: a phone of this user may send a call on to the outside world. `out_cid_number` and its name are
    what the outside world sees of him, if the account owns the number."""

    user_id: str
    username: str
    display_name: str
    max_simultaneous: int | None
    ring_timeout_sec: int
    dnd: bool
    active: bool
    ring_strategy: str = "simultaneous"
    voicemail_id: str | None = None
    fwd_always: Target | None = None
    fwd_busy: Target | None = None
    fwd_noanswer: Target | None = None
    allows_outside: bool = False
    out_cid_number: str | None = None
    out_cid_name: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device and, where it was found reachable, the node that holds the contact."""

    device_id: str
    realm: str
    is_webrtc: bool
    node_id: str = ""
    ring_specific: bool = False

    @property
    def aor(self) -> str:
        return f"sip:{self.device_id}@{self.realm}"


@dataclass(frozen=True, slots=True)
class Attached:
    """A target with opening hours: what it leads to when open (or always), closed, and on holidays."""

    target: Target | None
    schedule_id: str | None = None
    closed: Target | None = None
    holiday: Target | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    extension_id: str
    digits: str
    attached: Attached


@dataclass(frozen=True, slots=True)
class Did:
    """A number of the account; `status` is `active`, `disabled` or `virtual`."""

    did_id: str
    e164: str
    attached: Attached
    status: str = "active"
    accept_any_source: bool = False
    allow_anonymous: bool = True
    max_channels: int | None = None


@dataclass(frozen=True, slots=True)
class RingGroup:
    """`attached.target` is None: an open group rings its members. `exit` is where the call goes when none takes it."""

    group_id: str
    name: str
    strategy: str
    ring_timeout_sec: int
    attached: Attached
    exit: Target | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a ring group with the devices of it that can be reached now; `user` is whose devices they are."""

    member_id: str
    user: User
    devices: tuple[Device, ...]
    delay_sec: int = 0
    timeout_sec: int | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """`cid_mode`: the called party sees the `caller` or the account's `own` number."""

    forward_id: str
    e164: str
    timeout_sec: int = 30
    cid_mode: str = "caller"


@dataclass(frozen=True, slots=True)
class Trunk:
    """A peer that is recognised by its address. `owned`: the account's own, not the platform's."""

    trunk_id: str
    name: str
    role: str
    owned: bool
    number_from: str = "ruri"
    max_channels: int | None = None
    cid_number: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A sliding window that applies to a call; `subject` is what it counts."""

    limit_id: str
    subject: str
    period_sec: int
    max_count: int
    hard: bool
