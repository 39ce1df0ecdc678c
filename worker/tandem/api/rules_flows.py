"""What is special about call flows and media files."""

from __future__ import annotations

from collections.abc import Sequence

from tandem.api.drafts import Draft
from tandem.api.work import Work
from tandem.runtime import Row
from tandem.store.config_tables import TABLES
from tandem.store.flow_facts import SQL


async def flows(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    """A flow begins as a draft; whether a changed draft is what calls take is told exactly."""
    for draft in drafts:
        if draft.before is None:
            draft.fields |= {"status": "draft", "version": 0, "published_at": None, "unpublished": True}
        elif "graph" in draft.given:
            graph = TABLES["flows"].columns({"graph": draft.fields["graph"]})["graph"]
            (rows,) = await work.rows((SQL["is_unpublished"], (draft.fields["id"], graph)))
            draft.fields["unpublished"] = bool(rows and rows[0]["unpublished"])
