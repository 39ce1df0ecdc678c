"""Accounts, their domains, who may use the API, and the edge nodes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.v1.base import Fields, Item, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import (
    AccountRef,
    Ceiling,
    Country,
    Currency,
    DestId,
    DestKind,
    Digits,
    DomainName,
    Language,
    Name,
    Number,
    Password,
    Scope,
    Text,
    Url,
    UserRef,
    Zone,
    matching,
)
from tandem.contracts.v1.targets import whole_targets

AccountStatus = Literal["active", "suspended", "closed"]
Role = Literal["owner", "admin", "supervisor", "agent"]
Region = Annotated[str, matching(r"^[a-z0-9-]{1,32}$", "must be 1 to 32 small letters, digits and -")]
SipAddress = Annotated[
    str,
    Field(max_length=260),
    matching(r"^[A-Za-z0-9.\-\[\]]+:[0-9]{1,5}$", "must be host:port, such as 192.0.2.1:5060"),
]
Email = Annotated[
    str,
    Field(max_length=254),
    matching(r"^[^\s@\x00-\x1f\x7f]{1,64}@[A-Za-z0-9.\-]{1,189}$", "must be an e-mail address"),
]


class AccountFields(Fields):
    name: Name = Field(description="What the account is called.")
    status: AccountStatus = Field(
        "active", description="A suspended or closed account, and all below it, registers nobody and routes nothing."
    )
    is_reseller: bool = Field(False, description="Whether it may have accounts below it.")
    timezone: Zone | None = Field(None, description="IANA zone; null: the parent's, at the top UTC.")
    language: Language | None = Field(None, description="BCP 47 tag; null: the parent's, at the top en-US.")
    voice_gender: Literal["male", "female"] | None = Field(None, description="Voice of prompts; null: the parent's.")
    brand_name: Text | None = Field(None, description="Shown to its users; null: the parent's.")
    brand_domain: DomainName | None = Field(None, description="Domain of its console; null: the parent's.")
    country: Country = Field("US", description="ISO 3166 code whose numbering plan national numbers follow.")
    max_in: Ceiling | None = Field(None, description="Inbound calls at a time; null: no limit.")
    max_out: Ceiling | None = Field(None, description="Outbound calls at a time; null: no limit.")
    max_dialer: Ceiling | None = Field(None, description="Campaign calls at a time; null: no limit.")
    default_cid_number: Number | None = Field(
        None, description="Caller-ID of users without one, shown as theirs is; null: the parent's."
    )
    did_default_dest_kind: DestKind | None = Field(
        None,
        description="What calls to numbers without a target are sent to; null: the parent's if that is hangup. Other "
        "targets are not inherited: they are the parent's own objects.",
    )
    did_default_dest_id: DestId | None = None
    media_engine: Literal["none", "freeswitch", "embedded"] = Field(
        "none", description="Which media engine answers calls; with none, calls that need one get 480."
    )
    emergency_numbers: list[Digits] | None = Field(
        None, max_length=32, description="Never limited or blocked; null: the parent's, at the top the country's."
    )
    billing_mode: Literal["none", "prepaid", "postpaid"] = Field("none", description="How its calls are paid.")
    credit_limit_micros: int = Field(0, ge=0, le=10**15, description="Credit, millionths of the currency.")
    currency: Currency = Field("USD", description="ISO 4217 code.")

    @model_validator(mode="after")
    def _targets(self) -> Self:
        whole_targets(self, "did_default_dest")
        return self


class AccountCreate(AccountFields):
    """A tenant; resellers have others below them."""

    parent_id: AccountRef | None = Field(
        None, description="The reseller above it, for good; default: the credential's account, an operator's: none."
    )


class Account(AccountFields, Item):
    """A tenant; resellers have others below them."""

    parent_id: str | None = Field(description="The reseller above it.")
    home_region: str
    created_at: int = Field(description="Epoch ms.")


AccountPatch = patch_of(AccountFields)


class DomainFields(Fields):
    domain: DomainName = Field(description="Unique on the platform; the realm of its devices. It cannot be changed.")
    is_primary: bool = Field(False, description="Whether new devices get it; one of the account's domains has it.")


class DomainCreate(DomainFields, Owned):
    """A SIP domain of the account."""


class Domain(DomainFields, OwnedItem):
    """A SIP domain of the account."""


DomainPatch = patch_of(DomainFields, "domain")


class KeyFields(Fields):
    name: Name = Field(description="What the key is for.")
    scopes: list[Scope] = Field(min_length=1, max_length=32, description="What it may touch; * is everything.")


class KeyCreate(KeyFields, Owned):
    """An API key; the key itself is shown once, in the reply."""


class Key(KeyFields, Item):
    """An API key; only its SHA-256 is kept."""

    account_id: str | None = Field(description="Null: a platform operator's.")
    created_at: int = Field(description="Epoch ms.")
    last_used_at: int | None = Field(description="Epoch ms, exact to a minute.")
    revoked_at: int | None = Field(description="Epoch ms; null: it works.")


KeyPatch = patch_of(KeyFields)


class ConsoleUserFields(Fields):
    email: Email = Field(description="Login name, unique on the platform.")
    role: Role = Field("agent", description="What the console shows.")
    user_id: UserRef | None = Field(None, description="The telephone user of the same person.")
    scopes: list[Scope] = Field(min_length=1, max_length=32, description="What the login may touch; * is everything.")
    status: Literal["active", "disabled"] = Field("active", description="A disabled login is refused.")


class ConsoleUserCreate(ConsoleUserFields, Owned):
    """A person who logs in to the console."""

    password: Password = Field(description="At least 12 characters; only its scrypt hash is kept.")


class ConsoleUser(ConsoleUserFields, Item):
    """A person who logs in to the console."""

    account_id: str | None = Field(description="Null: a platform operator.")
    created_at: int = Field(description="Epoch ms.")
    locked_until: int | None = Field(description="Epoch ms; after five wrong passwords, for 15 minutes.")


ConsoleUserPatch = patch_of(ConsoleUserFields)


class ConsolePassword(Fields):
    """A new password; all logins with the old one end."""

    password: Password = Field(description="At least 12 characters.")


class NodeFields(Fields):
    name: Text = Field("", description="What operators call it.")
    region: Region = Field(description="Where it is; it cannot be changed.")
    status: Literal["enrolling", "active", "draining", "lost", "retired"] = Field(
        "active", description="draining: no new calls; retired: its credential is refused."
    )
    command_url: Url | None = Field(None, description="Where its agent takes commands.")
    sip_address: SipAddress | None = Field(None, description="host:port where other nodes reach it by SIP.")


class NodeCreate(NodeFields):
    """An edge node; its credential is shown once, in the reply."""


class Node(NodeFields, Item):
    """An edge node."""

    credential_version: int = Field(description="Grows with each new credential.")
    created_at: int = Field(description="Epoch ms.")


NodePatch = patch_of(NodeFields, "region")


class AuditEntry(Item):
    """Who changed what."""

    account_id: str | None = Field(description="The account that it concerns; null: the platform.")
    actor: str = Field(description="Id of the key or the console user.")
    action: str = Field(description="create, update, delete, or what else was done.")
    object: str = Field(description="Name of the object, as in the path.")
    object_id: str
    before: dict[str, Any] | None = Field(description="The object before, without secrets.")
    after: dict[str, Any] | None = Field(description="The object afterwards, without secrets.")
    at: int = Field(description="Epoch ms.")
