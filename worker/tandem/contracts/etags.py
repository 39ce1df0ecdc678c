"""Entity tags of content (RFC 9110 section 8.8.3), on the wire between quotes."""

from __future__ import annotations


def quoted(etag: str) -> str:
    return f'"{etag}"'


def unquoted(header: str) -> str:
    """The first tag of an If-None-Match header, weak or not; empty when there is none."""
    first = header.partition(",")[0].strip().removeprefix("W/")
    return first[1:-1] if len(first) > 2 and first[0] == first[-1] == '"' else ""
