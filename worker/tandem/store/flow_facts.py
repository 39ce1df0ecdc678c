"""What a flow is checked and tried out with: as D1 has it, where a call has it from its account's object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tandem.domain.account import Account, AccountRow, effective
from tandem.domain.flows import Facts, Flow, Graph, Known, MediaFile, Problem, read
from tandem.domain.flows.mentions import PREFIXES, mentioned_by, mentions
from tandem.domain.flows.session import DEEPEST
from tandem.domain.hours import Schedule, make_rule
from tandem.domain.target import Target
from tandem.runtime import Database, Row, Statement
from tandem.store import config, routing_rows
from tandem.store.blocks import load
from tandem.store.config_tables import GRAPH_OBJECTS, TABLES

SQL: Final = load("flows")
# Kinds of which being there is all that a flow needs.
_EXIST: Final = tuple(kind for kind in PREFIXES.values() if kind not in ("flow", "media", "playlist"))


@dataclass(frozen=True, slots=True)
class Caller:
    """The call that a flow is tried out with."""

    direction: str
    from_num: str
    to_num: str
    variables: Mapping[str, str]


async def known(control: Database, account_id: str, flow_id: str, document: Mapping[str, Any]) -> Known:
    """What the account has of all that the document mentions."""
    named = mentions(document)
    statements: list[Statement] = [
        (SQL["existing"].format(table=TABLES[GRAPH_OBJECTS[kind]].name), (account_id, _list(named[kind])))
        for kind in (*_EXIST, "media", "playlist")
    ]
    found = await config.read(control, *statements)
    ids = {
        kind: frozenset(str(row["id"]) for row in rows)
        for kind, rows in zip((*_EXIST, "media", "playlist"), found, strict=True)
    }
    called, _ = await _called(control, account_id, flow_id, document)
    graphs = {one: graph for one, (_, graph) in called.items()}
    return Known({**ids, "flow": frozenset(graphs) | ({flow_id} & named["flow"])}, graphs, flow_id)


async def silent_media(control: Database, account_id: str, document: Mapping[str, Any]) -> list[Problem]:
    """A problem for each node that names a media file without content, or a playlist with one."""
    named = mentions(document)
    media, playlists = await config.read(
        control,
        (SQL["media"], (account_id, _list(named["media"]), _list(named["playlist"]))),
        (SQL["playlists"], (account_id, _list(named["playlist"]))),
    )
    silent = {row["id"]: row["name"] for row in media if row["object_key"] is None}
    users = {media_id: [media_id] for media_id in silent}
    for row in playlists:
        for media_id in json.loads(row["media_ids"]):
            if media_id in silent:
                users[media_id].append(row["id"])
    return [
        Problem("silent_media", f"The media file {silent[media_id]} has no content yet; upload it.", node_id)
        for media_id, object_ids in users.items()
        for node_id in dict.fromkeys(node for one in object_ids for node in mentioned_by(document, one))
    ]


async def callers(control: Database, account_id: str, flow_id: str) -> list[tuple[str, Graph]]:
    """The published flows that mention it, by name."""
    (rows,) = await config.read(control, (SQL["callers"], (account_id, flow_id)))
    found = [(str(row["name"]), read(json.loads(row["published_graph"]))) for row in rows]
    return [(name, graph) for name, graph in found if isinstance(graph, Graph)]


async def facts(control: Database, account_id: str, flow: Flow, document: Mapping[str, Any], caller: Caller) -> Facts:
    """What a call to the flow, as the document has it, would be run with now. A ring group's exit counts when it is a
    flow itself."""
    called, exits = await _called(control, account_id, flow.flow_id, document)
    flows = {flow.flow_id: flow} | {
        one: Flow(one, row["name"], row["version"], graph) for one, (row, graph) in called.items()
    }
    named = mentions([document, *(json.loads(row["published_graph"]) for row, _ in called.values())])
    schedules, rules, media, playlists, ancestry = await config.read(
        control,
        (SQL["schedules"], (account_id, _list(named["schedule"]))),
        (SQL["schedule_rules"], (account_id, _list(named["schedule"]))),
        (SQL["media"], (account_id, _list(named["media"]), _list(named["playlist"]))),
        (SQL["playlists"], (account_id, _list(named["playlist"]))),
        (SQL["ancestry"], (account_id,)),
    )
    account = _account(ancestry)
    return Facts(
        "flow",
        flow.flow_id,
        caller.direction,
        caller.from_num,
        caller.to_num,
        account.timezone,
        account.language,
        "male" if account.voice_gender == "male" else "female",
        flows,
        {row["id"]: _schedule(row, rules) for row in schedules},
        {row["id"]: MediaFile(row["object_key"], row["etag"]) for row in media if row["object_key"] is not None},
        {row["id"]: tuple(json.loads(row["media_ids"])) for row in playlists},
        exits,
        dict(caller.variables),
    )


async def _called(
    control: Database, account_id: str, flow_id: str, document: Mapping[str, Any]
) -> tuple[dict[str, tuple[Row, Graph]], dict[str, Target]]:
    """The published flows to which the document leads, and those to which they lead, as deep as calls go; and the exits
    of their ring groups."""
    found: dict[str, tuple[Row, Graph]] = {}
    exits: dict[str, Target] = {}
    seen, named = {flow_id}, mentions(document)
    for _ in range(DEEPEST):
        if named["ring_group"]:
            (groups,) = await config.read(control, (SQL["exits"], (account_id, _list(named["ring_group"]))))
            exits |= {row["id"]: _exit(row) for row in groups}
        wanted = named["flow"].union(target.dest_id for target in exits.values()) - seen
        if not wanted:
            break
        seen |= wanted
        (rows,) = await config.read(control, (SQL["published"], (account_id, _list(wanted))))
        contents = []
        for row in rows:
            content = json.loads(row["published_graph"])
            graph = read(content)
            if isinstance(graph, Graph):
                found[row["id"]] = row, graph
                contents.append(content)
        named = mentions(contents)
    return found, exits


def _exit(row: Row) -> Target:
    xform = row["exit_dest_xform"]
    return Target("flow", row["exit_dest_id"], routing_rows.variables(xform) if xform else ())


def _account(rows: list[Row]) -> Account:
    account = effective(
        [
            AccountRow(
                row["id"],
                row["parent_id"],
                row["name"],
                row["status"],
                row["timezone"],
                row["language"],
                row["voice_gender"],
            )
            for row in rows
        ]
    )
    assert account is not None
    return account


def _schedule(row: Row, rules: list[Row]) -> Schedule:
    made = (
        make_rule(
            rule["kind"],
            rule["dow"],
            rule["start_time"],
            rule["end_time"],
            rule["start_date"],
            rule["end_date"],
            bool(rule["is_closed"]),
            rule["label"],
        )
        for rule in rules
        if rule["schedule_id"] == row["id"]
    )
    return Schedule(row["id"], row["timezone"], tuple(made))


def _list(ids: set[str]) -> str:
    return json.dumps(sorted(ids))
