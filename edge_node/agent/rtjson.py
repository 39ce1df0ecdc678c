"""The brain's media profiles as the flag strings of Kamailio's rtpengine module."""

from __future__ import annotations

from typing import Any

from tandem.contracts.route import Directive, MediaProfile


def flags(media: MediaProfile) -> str:
    """Flags of `rtpengine_offer`/`rtpengine_answer`. The node's own address stands in the description either way."""
    return f"replace-origin replace-session-connection {media.profile} ICE={media.ice}"


def document(raw: dict[str, Any], directive: Directive) -> dict[str, Any]:
    """The document for rtjson with each route's flags beside it; unknown keys of the brain's are passed on.

    `raw` is what `directive` was read from.
    """
    routes = [
        {**route, "flags": flags(typed.rtpengine)}
        for route, typed in zip(raw.get("routes", []), directive.routes, strict=True)
    ]
    return {**raw, "routes": routes}
