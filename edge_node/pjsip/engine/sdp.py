"""Session descriptions as text (RFC 8866), as far as the engine changes them: which codec, and where the audio goes."""

from __future__ import annotations

from collections.abc import Iterator

from edge_node.agent.media_engine.embedded.messages import Description

# RFC 3551 section 6: the payload types of G.711, whether or not an rtpmap says so.
STATIC = {"0": "PCMU", "8": "PCMA"}
_EVENT = "telephone-event"
_END = "\r\n"


def body(message: str) -> str:
    """The body of a SIP message."""
    return message.partition("\r\n\r\n")[2]


def codecs(sdp: str) -> list[str]:
    """The codecs of ours that the first audio stream offers, in its order."""
    names = {name.upper() for name in STATIC.values()}
    for section in _sections(sdp)[1:]:
        if section[0].startswith("m=audio "):
            names_by_type = _names(section)
            found = (names_by_type.get(kind, "") for kind in section[0].split()[3:])
            return [name for name in found if name in names]
    return []


def only(sdp: str, codec: str) -> str:
    """With this codec alone (and telephone-event) in the audio streams."""
    return _joined(_narrowed(section, codec) for section in _sections(sdp))


def elsewhere(sdp: str, description: Description) -> str:
    """With the first audio stream to be sent to and taken from somebody else. The origin (`o=`) stays: it is still the
    same session (RFC 3264 section 8)."""
    sections = _sections(sdp)
    place = next(index for index, section in enumerate(sections) if section[0].startswith("m=audio "))
    sections[place] = _described(description)
    return _joined(sections)


def _described(description: Description) -> list[str]:
    kinds = [description.payload_type, *([] if description.event_type is None else [description.event_type])]
    lines = [
        f"m=audio {description.port} RTP/AVP {' '.join(map(str, kinds))}",
        f"c=IN IP4 {description.host}",
        f"a=rtpmap:{description.payload_type} {description.codec}/8000",
    ]
    if description.event_type is not None:
        lines += [f"a=rtpmap:{description.event_type} {_EVENT}/8000", f"a=fmtp:{description.event_type} 0-16"]
    return [*lines, "a=sendrecv"]


def _narrowed(section: list[str], codec: str) -> list[str]:
    if not section[0].startswith("m=audio "):
        return section
    words = section[0].split()
    names = _names(section)
    gone = {kind for kind in words[3:] if names.get(kind) not in (codec, _EVENT.upper())}
    kept = [line for line in section[1:] if _payload_type(line) not in gone]
    return [" ".join(word for index, word in enumerate(words) if index < 3 or word not in gone), *kept]


def _names(section: list[str]) -> dict[str, str]:
    """The encoding of each payload type, in capitals (they are case-insensitive)."""
    mapped = dict(STATIC)
    for line in section:
        if line.startswith("a=rtpmap:"):
            kind, _, encoding = line.removeprefix("a=rtpmap:").partition(" ")
            mapped[kind] = encoding.partition("/")[0].upper()
    return mapped


def _payload_type(line: str) -> str:
    """Whose format this attribute describes, empty for another line."""
    for name in ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"):
        if line.startswith(name):
            return line.removeprefix(name).partition(" ")[0]
    return ""


def _sections(sdp: str) -> list[list[str]]:
    """The session's lines, then those of each stream, which begin with `m=`."""
    sections: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    return sections


def _joined(sections: list[list[str]] | Iterator[list[str]]) -> str:
    return "".join(line + _END for section in sections for line in section)
