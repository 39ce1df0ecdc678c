"""Named blocks of SQL: `-- name: block` starts one, in the .sql files beside this module."""

from __future__ import annotations

from importlib.resources import files


def load(area: str) -> dict[str, str]:
    """The blocks of `<area>.sql` by name."""
    text = files("tandem.store").joinpath(f"{area}.sql").read_text()
    blocks: dict[str, str] = {}
    for part in text.split("-- name:")[1:]:
        name, _, body = part.partition("\n")
        blocks[name.strip()] = body.strip().rstrip(";")
    return blocks
