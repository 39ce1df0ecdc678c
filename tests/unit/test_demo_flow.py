"""The demo system's flow: it can be published, and its rows fit the schema."""

from __future__ import annotations

import json

from edge_node.local import demo_flow
from tandem.domain.flows import Known, check
from tests.support import seeds


def test_it_has_no_problems() -> None:
    flow = demo_flow.main_flow("us_1")
    known = Known({"user": frozenset({"us_1"}), "schedule": frozenset({flow.schedule_id})})
    graph, problems = check(flow.graph(), known)
    assert problems == []
    assert graph is not None


def test_its_rows_fit_the_schema() -> None:
    tenant = seeds.tenant(1, "acme.tandem.test")
    connection = seeds.migrated()
    connection.execute("PRAGMA foreign_keys = ON")
    for statement, parameters in seeds.rows_of(tenant):
        connection.execute(statement, parameters)
    flow = demo_flow.main_flow(tenant.people["1001"].user_id)
    for statement, values in demo_flow.rows(tenant.account_id, flow, 1):
        connection.execute(statement, values)
    (published,) = connection.execute("SELECT published_graph FROM flow WHERE id = ?", (flow.flow_id,)).fetchone()
    assert json.loads(published) == flow.graph()
    (rules,) = connection.execute("SELECT COUNT(*) FROM time_schedule_rule").fetchone()
    assert rules == 5
