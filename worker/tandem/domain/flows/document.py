"""The flow document (spec 20, "The flow document"): one for the editor, the public API and the interpreter.

Names are camelCase in the JSON and snake_case in code. Unknown fields and wrong types are refused. What refers to other
nodes or objects is checked by `validation`, which reports all problems at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

MOST_NODES: Final = 500
MOST_EDGES: Final = 2_000
# An edge to `exit:<name>` leaves a subflow by that exit; in a flow that nobody called it ends the call.
EXIT: Final = "exit:"

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
Ref = Annotated[str, Field(min_length=1, max_length=64)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Template = Annotated[str, Field(max_length=4_096)]
Speech = Annotated[str, Field(min_length=1, max_length=2_000)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}-[A-Z]{2}$")]
Voice = Literal["female", "male"]
Terminators = Annotated[str, Field(max_length=12, pattern=r"^[0-9*#]*$")]
Digits = Annotated[int, Field(ge=1, le=32)]
LegTime = Annotated[int, Field(ge=5, le=300)] | None


class Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, strict=True, frozen=True, extra="forbid")


class Prompt(Part):
    """A media file, or a text to be spoken; `{{variables}}` are replaced in it."""

    audio_id: Ref | None = None
    text: Speech | None = None
    voice: Voice | None = None
    language: Language | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.audio_id is None) == (self.text is None):
            raise ValueError("a prompt has either audioId or text")
        return self


class DialTarget(Part):
    """A route target by kind and id, or a number as it would be dialled (a template)."""

    kind: Literal["user", "extension", "ring_group", "forward"] | None = None
    id: Ref | None = None
    number: Template | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.number is None) == (self.kind is None) or (self.kind is None) != (self.id is None):
            raise ValueError("a target has either kind and id, or number")
        return self


class Entry(Part):
    """`trigger` is a label for who reads the flow: what leads to it decides which calls it gets, and `direction` tells
    them apart. A flow may begin at any node."""

    kind: Literal["entry"]
    trigger: Literal["inbound", "internal", "api"] = "inbound"


class Play(Part):
    kind: Literal["play"]
    audio_id: Ref | None = None
    playlist_id: Ref | None = None
    loop: Annotated[int, Field(ge=1, le=1_000)] = 1

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.audio_id is None) == (self.playlist_id is None):
            raise ValueError("play has either audioId or playlistId")
        return self


class Say(Part):
    kind: Literal["say"]
    text: Speech
    voice: Voice | None = None
    language: Language | None = None


class Menu(Part):
    """`mask`: the digits are not written into the trace. The outcome of digits is `digit:<digits>`, of a terminator
    alone `digit:<terminator>`; digits without an edge, or too few, are `invalid`."""

    kind: Literal["menu"]
    prompt: Prompt
    reprompt: Prompt | None = None
    invalid_prompt: Prompt | None = None
    min_digits: Digits = 1
    max_digits: Digits = 1
    terminators: Terminators = "#"
    timeout_sec: Annotated[int, Field(ge=1, le=60)] = 5
    inter_digit_timeout_sec: Annotated[int, Field(ge=1, le=30)] = 3
    max_failures: Annotated[int, Field(ge=1, le=10)] = 3
    max_timeouts: Annotated[int, Field(ge=1, le=10)] = 3
    barge_in: bool = True
    mask: bool = False


class Collect(Part):
    """`mask`: the digits are a secret: never in the trace, nor is what they are copied into. `regex` (`patterns`) is
    for all of the digits."""

    kind: Literal["collect"]
    variable: Variable
    prompt: Prompt
    reprompt: Prompt | None = None
    invalid_prompt: Prompt | None = None
    min_digits: Digits = 1
    max_digits: Digits = 32
    terminator: Terminators = "#"
    timeout_sec: Annotated[int, Field(ge=1, le=60)] = 5
    inter_digit_timeout_sec: Annotated[int, Field(ge=1, le=30)] = 3
    regex: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    max_tries: Annotated[int, Field(ge=1, le=10)] = 3
    barge_in: bool = True
    mask: bool = False


Operator = Literal[
    "eq", "ne", "lt", "le", "gt", "ge", "contains", "starts_with", "ends_with", "matches", "in", "is_set", "is_empty"
]


class Rule(Part):
    """`value` is compared with the variable: as numbers where both are, else as texts; `in`: words between commas.

    Of `matches` it is a regular expression (`patterns`) for the whole of the variable's text, and no template."""

    variable: Variable
    operator: Operator
    value: Template = ""
    handle: Id


class Condition(Part):
    kind: Literal["condition"]
    rules: Annotated[list[Rule], Field(min_length=1, max_length=50)]


class TimeCondition(Part):
    kind: Literal["timeCondition"]
    schedule_id: Ref


class Assignment(Part):
    """`secret`: the value is masked in the trace, and so is whatever is made of it."""

    variable: Variable
    expression: Annotated[str, Field(min_length=1, max_length=1_000)]
    secret: bool = False


class SetVariable(Part):
    kind: Literal["setVariable"]
    assignments: Annotated[list[Assignment], Field(min_length=1, max_length=50)]


class Save(Part):
    """`path` leads into the JSON reply: names and indexes between dots; `status` is the HTTP status."""

    variable: Variable
    path: Annotated[str, Field(min_length=1, max_length=200)]
    secret: bool = False


class HttpRequest(Part):
    """`url`, header values and `body` are templates. A reply of 200 to 299 is `success`."""

    kind: Literal["httpRequest"]
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    headers: Annotated[dict[str, Template], Field(max_length=20)] = {}
    body: Template | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=10_000)] = 5_000
    save: Annotated[list[Save], Field(max_length=50)] = []


class Switch(Part):
    """Each case is an outcome of its own name."""

    kind: Literal["switch"]
    variable: Variable
    cases: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(min_length=1, max_length=100)]


class Dial(Part):
    """All targets ring at once, for `timeout_sec`; a user who has a forward for no answer only for his own time, then
    it is followed. Without it each target rings for its own time. `caller_id` is a number of the account, else the
    caller's own is shown and the trace says so; `music` is heard instead of the ringing."""

    kind: Literal["dial"]
    targets: Annotated[list[DialTarget], Field(min_length=1, max_length=20)]
    timeout_sec: LegTime = None
    caller_id: Template | None = None
    record: bool = False
    whisper: Prompt | None = None
    music: Ref | None = None


class RingGroup(Part):
    """Without an edge for `exit` the call goes to the group's own exit; a flow there takes it over for good."""

    kind: Literal["ringGroup"]
    ring_group_id: Ref


class Enqueue(Part):
    kind: Literal["enqueue"]
    queue_id: Ref
    priority: Annotated[int, Field(ge=0, le=100)] = 0
    skills: dict[Id, int] = {}
    variables: dict[Variable, Template] = {}


class Callback(Part):
    kind: Literal["callback"]
    queue_id: Ref
    number_variable: Variable


class Voicemail(Part):
    kind: Literal["voicemail"]
    mailbox_id: Ref
    greeting: Prompt | None = None


class Record(Part):
    kind: Literal["record"]
    max_sec: Annotated[int, Field(ge=1, le=3_600)] = 120
    silence_sec: Annotated[int, Field(ge=1, le=60)] = 5
    beep: bool = True
    variable: Variable


class Conference(Part):
    kind: Literal["conference"]
    conference_id: Ref | None = None
    room_variable: Variable | None = None
    pin: Template | None = None
    role: Literal["member", "moderator"] = "member"


class Transfer(Part):
    """`blind`: the caller hears the target's ringing. `attended`: `music` until the target has answered.
    `timeout_sec` is as of `Dial`."""

    kind: Literal["transfer"]
    target: DialTarget
    mode: Literal["blind", "attended"] = "blind"
    timeout_sec: LegTime = None
    music: Ref | None = None

    @model_validator(mode="after")
    def _music_if_attended(self) -> Self:
        if self.music is not None and self.mode == "blind":
            raise ValueError("music is for an attended transfer")
        return self


class Subflow(Part):
    """`inputs` are set in the subflow's own variables; its exit is this node's outcome."""

    kind: Literal["subflow"]
    flow_id: Ref
    inputs: dict[Variable, Template] = {}


class Hangup(Part):
    """`cause` is a SIP code from 400 to 699, or `normal`."""

    kind: Literal["hangup"]
    cause: Annotated[str, Field(pattern=r"^(normal|[456][0-9]{2})$")] = "normal"


Data = Annotated[
    Entry
    | Play
    | Say
    | Menu
    | Collect
    | Condition
    | TimeCondition
    | SetVariable
    | HttpRequest
    | Switch
    | Dial
    | RingGroup
    | Enqueue
    | Callback
    | Voicemail
    | Record
    | Conference
    | Transfer
    | Subflow
    | Hangup,
    Field(discriminator="kind"),
]


class Node(Part):
    """`type` and `position` are the editor's."""

    id: Id
    type: str | None = None
    position: dict[str, Any] | None = None
    data: Data


class Edge(Part):
    """From an outcome (`source_handle`, default `default`) of a node to a node, or out of a subflow (`EXIT`)."""

    id: Id
    source: Id
    target: Annotated[str, Field(min_length=1, max_length=80)]
    source_handle: Annotated[str, Field(min_length=1, max_length=80)] = "default"


class Graph(Part):
    start: Id
    nodes: Annotated[list[Node], Field(max_length=MOST_NODES)]
    edges: Annotated[list[Edge], Field(max_length=MOST_EDGES)] = []
