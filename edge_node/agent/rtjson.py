"""The brain's media profiles as the flag strings of Kamailio's rtpengine module."""

from __future__ import annotations

from typing import Any

from edge_node.agent.staggered import Plan
from tandem.contracts.route import Directive, MediaProfile


def flags(media: MediaProfile) -> str:
    """Flags of `rtpengine_offer`/`rtpengine_answer`. The node's own address stands in the description either way."""
    return f"replace-origin replace-session-connection {media.profile} ICE={media.ice}"


def document(raw: dict[str, Any], directive: Directive, plan: Plan | None) -> dict[str, Any]:
    """The document for rtjson with each route's flags beside it; unknown keys of the brain's are passed on.

    `raw` is what `directive` was read from. With a `plan` the later routes stand behind the others, in its order.
    """
    routes = list(raw.get("routes", []))
    if plan is not None:
        later = sorted(raw.get("later") or [], key=lambda batch: int(batch["after_ms"]))
        routes += [route for batch in later for route in batch["routes"]]
    typed = directive.routes if plan is None else plan.routes
    flagged = [{**route, "flags": flags(one.rtpengine)} for route, one in zip(routes, typed, strict=True)]
    return {**{name: value for name, value in raw.items() if name != "later"}, "routes": flagged}


def seated(raw: dict[str, Any], directive: Directive, seat: str | None) -> tuple[dict[str, Any], Directive]:
    """Both with the media engine's seat (`host:port`) as the next hop. Without one no route is left: Kamailio finds
    nobody to reach, and asks the brain on."""
    hop = f"sip:{seat};transport=udp"
    routes = [] if seat is None else [{**route, "dst_uri": hop} for route in raw.get("routes", [])]
    typed = [] if seat is None else [route.model_copy(update={"dst_uri": hop}) for route in directive.routes]
    return {**raw, "routes": routes}, directive.model_copy(update={"routes": typed})
