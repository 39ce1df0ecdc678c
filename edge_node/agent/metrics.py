"""What the agent measures, in Prometheus' terms; served on loopback."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edge_node.agent.logins import FailedLogins

_DECISION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)


class Metrics:
    """One registry an agent, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.questions = Counter(
            "tandem_agent_questions", "Questions answered", ("ask", "result"), registry=self.registry
        )
        self.decision_seconds = Histogram(
            "tandem_agent_decision_seconds",
            "From a question's arrival to its answer",
            ("ask",),
            buckets=_DECISION_BUCKETS,
            registry=self.registry,
        )
        self.retries = Counter("tandem_agent_decision_retries", "Questions asked a second time", registry=self.registry)
        self.malformed = Counter("tandem_agent_malformed", "Messages that could not be read", registry=self.registry)
        self.in_flight = Gauge("tandem_agent_questions_in_flight", "Questions with the brain", registry=self.registry)
        self.evapi_connected = Gauge("tandem_agent_kamailio_connected", "1 while connected", registry=self.registry)
        self.events = Counter("tandem_agent_events", "Events", ("outcome",), registry=self.registry)
        self.buffered = Gauge("tandem_agent_events_buffered", "Events on disk", registry=self.registry)
        self.heartbeats = Counter("tandem_agent_heartbeats", "Heartbeats", ("outcome",), registry=self.registry)
        self.commands = Counter("tandem_agent_commands", "Commands", ("op", "status"), registry=self.registry)
        self.calls = Gauge("tandem_agent_calls", "Live calls", registry=self.registry)
        self.contacts = Gauge("tandem_agent_contacts", "Registered contacts", registry=self.registry)
        self.media_up = Gauge("tandem_agent_media_engine_up", "1 while the engine takes calls", registry=self.registry)
        self.media_channels = Gauge("tandem_agent_media_channels", "Channels in the engine", registry=self.registry)
        self.media_callers = Gauge("tandem_agent_media_callers", "Callers in the engine", registry=self.registry)
        self.media_app_seconds = Counter(
            "tandem_agent_media_app_seconds", "How long callers' audio passed the engine", registry=self.registry
        )
        self.flow_step_seconds = Histogram(
            "tandem_agent_flow_step_seconds",
            "From an outcome to the next command",
            buckets=_DECISION_BUCKETS,
            registry=self.registry,
        )
        self.flow_retries = Counter("tandem_agent_flow_retries", "Steps told once more", registry=self.registry)
        self.flow_outcomes = Counter(
            "tandem_agent_flow_outcomes", "Commands by outcome", ("cmd", "outcome"), registry=self.registry
        )
        self.prompts = Counter(
            "tandem_agent_prompts", "Prompts by where they came from", ("source",), registry=self.registry
        )
        self.failed_logins = FailedLogins()
        self.registry.register(self.failed_logins)
        self.clock_offset = Gauge(
            "tandem_agent_clock_offset_seconds", "The brain's clock minus the node's", registry=self.registry
        )
