"""Sound that calls play: files, and lists of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tandem.contracts.v1.base import Fields, Owned, OwnedItem, patch_of
from tandem.contracts.v1.fields import MediaRef, Name

MOST_MEDIA_BYTES: Final = 20 * 1024 * 1024
# What a file may be sent as, and what it then is.
MEDIA_TYPES: Final = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/ogg": "ogg",
    "application/ogg": "ogg",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
}
MediaKind = Literal["prompt", "moh", "greeting", "announcement"]
MediaFormat = Literal["wav", "mp3", "ogg", "flac"]


class MediaFields(Fields):
    name: Name = Field(description="Unique in the account.")
    kind: MediaKind = Field("prompt", description="What it is for; moh: music on hold.")


class MediaCreate(MediaFields, Owned):
    """A sound file; its content is uploaded by itself."""


class Media(MediaFields, OwnedItem):
    """A sound file."""

    format: MediaFormat | None = Field(description="Of the content; null: there is none yet.")
    size: int | None = Field(description="Bytes.")
    etag: str | None = Field(description="Names the content.")
    duration_ms: int | None = Field(description="Of WAV files; null: not known.")


MediaPatch = patch_of(MediaFields)


class PlaylistFields(Fields):
    name: Name = Field(description="Unique in the account.")
    media_ids: Annotated[list[MediaRef], Field(min_length=1, max_length=200)] = Field(
        description="Media files in the order in which they are played."
    )


class PlaylistCreate(PlaylistFields, Owned):
    """Media files that are played one after the other."""


class Playlist(PlaylistFields, OwnedItem):
    """Media files that are played one after the other."""


PlaylistPatch = patch_of(PlaylistFields)
