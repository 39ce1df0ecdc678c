"""Call flows (spec 20): the document, its validation, and the interpreter as a pure machine."""

from tandem.domain.flows.document import Graph
from tandem.domain.flows.events import (
    STALE_STEP,
    CallEnded,
    Data,
    Effect,
    Event,
    Fetch,
    Fetched,
    Finish,
    LegPlaced,
    LegRefused,
    Pending,
    PlaceLeg,
    Refuse,
    Started,
    Stepped,
    Tell,
    Trace,
    TraceEntry,
)
from tandem.domain.flows.facts import Facts, Flow, MediaFile
from tandem.domain.flows.machine import step
from tandem.domain.flows.problems import Known, Problem
from tandem.domain.flows.session import Frame, Session, Status, decode, encode, new_session
from tandem.domain.flows.simulation import Line, Reply, Script, Simulation, simulate
from tandem.domain.flows.validation import check, problems, read, references, unhandled

__all__ = [
    "STALE_STEP",
    "CallEnded",
    "Data",
    "Effect",
    "Event",
    "Facts",
    "Fetch",
    "Fetched",
    "Finish",
    "Flow",
    "Frame",
    "Graph",
    "Known",
    "LegPlaced",
    "LegRefused",
    "Line",
    "MediaFile",
    "Pending",
    "PlaceLeg",
    "Problem",
    "Refuse",
    "Reply",
    "Script",
    "Session",
    "Simulation",
    "Started",
    "Status",
    "Stepped",
    "Tell",
    "Trace",
    "TraceEntry",
    "check",
    "decode",
    "encode",
    "new_session",
    "problems",
    "read",
    "references",
    "simulate",
    "step",
    "unhandled",
]
