"""The content of media files: `tandem media upload`, `tandem media download`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, get_args

import click

from cli.context import Context, pass_context
from cli.errors import CliError
from cli.objects import named, resolve
from tandem.contracts.v1.media import MediaKind
from tandem.contracts.v1.objects import BY_NAME

_MEDIA: Final = BY_NAME["media"]
_TYPES: Final = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".flac": "audio/flac",
}


@click.command("upload")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="The media file, by name or id. Default: the file's name without its ending.")
@click.option("--kind", type=click.Choice(get_args(MediaKind)), help="What it is for, where it is new.")
@pass_context
def upload(context: Context, file: Path, name: str | None, kind: str | None) -> None:
    """Uploads a sound file: as a new media file, or as the new content of the one with that name."""
    media_type = _TYPES.get(file.suffix.lower())
    if media_type is None:
        raise CliError(f"{file.name}: give a .wav, .mp3, .ogg or .flac file.")
    name = name or file.stem
    with context.client() as client:
        if name.startswith(f"{_MEDIA.prefix}_"):
            media_id = resolve(client, _MEDIA, name)
        else:
            found = list(client.pages(_MEDIA.path, {"name": name}, 1))
            made = {"name": name, **({} if kind is None else {"kind": kind})}
            media_id = str((found[0] if found else client.create(_MEDIA.path, made)["item"])["id"])
        context.show_reply(client.put(f"{_MEDIA.path}/{media_id}/content", file.read_bytes(), media_type))


@click.command("download")
@named(_MEDIA)
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@pass_context
def download(context: Context, named: str, file: Path) -> None:
    """Writes the sound of a media file to FILE, as it was uploaded."""
    with context.client() as client:
        media_id = resolve(client, _MEDIA, named)
        file.write_bytes(client.content(f"{_MEDIA.path}/{media_id}/content"))
    context.say(f"Wrote {file}.", {"ok": True, "id": media_id})


COMMANDS: Final[tuple[click.Command, ...]] = (upload, download)
