"""What an account is, after inheritance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.account import Account, AccountRow, Ancestor, effective
from tandem.domain.target import Target

TOP = AccountRow("acc_top", None, "Top", "active")
MIDDLE = AccountRow("acc_mid", "acc_top", "Middle", "active")
OWN = AccountRow("acc_own", "acc_mid", "Own", "active")
CHAIN = (TOP, MIDDLE, OWN)


def of(*rows: AccountRow) -> Account:
    found = effective(rows)
    assert found is not None
    return found


def test_no_rows_are_no_account() -> None:
    assert effective([]) is None


def test_an_account_by_itself_has_the_platform_s_defaults() -> None:
    assert of(replace(OWN, parent_id=None)) == Account("acc_own", "Own", brand_name="Own")


def test_the_order_of_the_rows_does_not_matter() -> None:
    assert of(OWN, MIDDLE, TOP) == of(*CHAIN)
    assert of(MIDDLE, TOP).account_id == "acc_mid"


@pytest.mark.parametrize(
    ("field", "value", "other"),
    [
        ("timezone", "Europe/Berlin", "Asia/Tokyo"),
        ("language", "de-DE", "fr-FR"),
        ("voice_gender", "male", "female"),
        ("brand_name", "Brand", "Other"),
        ("default_cid_number", "12025550100", "12025550101"),
        ("did_default", Target("hangup", "486"), Target("hangup")),
        ("emergency_numbers", frozenset({"1"}), frozenset[str]()),
    ],
)
def test_what_is_inherited_comes_from_the_nearest_that_sets_it(field: str, value: Any, other: Any) -> None:
    def with_rows(**values: Any) -> Any:
        rows = [replace(row, **{field: values[row.name]}) if row.name in values else row for row in CHAIN]
        return getattr(of(*rows), field)

    assert with_rows(Top=value) == value
    assert with_rows(Top=other, Middle=value) == value
    assert with_rows(Top=other, Middle=other, Own=value) == value


def test_a_target_that_is_the_parent_s_own_object_is_not_inherited() -> None:
    user, busy = Target("user", "us_1"), Target("hangup", "486")
    assert of(replace(TOP, did_default=user), MIDDLE, OWN).did_default is None
    assert of(replace(TOP, did_default=busy), replace(MIDDLE, did_default=user), OWN).did_default == busy
    assert of(replace(TOP, did_default=busy), MIDDLE, replace(OWN, did_default=user)).did_default == user


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_in", 1), ("max_out", 2), ("max_dialer", 3), ("country", "DE"), ("media_engine", "embedded")],
)
def test_what_is_an_account_s_own_is_not_inherited(field: str, value: Any) -> None:
    plain = getattr(of(*CHAIN), field)
    assert getattr(of(replace(TOP, **{field: value}), replace(MIDDLE, **{field: value}), OWN), field) == plain
    assert getattr(of(TOP, MIDDLE, replace(OWN, **{field: value})), field) == value


@pytest.mark.parametrize(
    ("top", "middle", "own", "status"),
    [
        ("active", "active", "active", "active"),
        ("active", "active", "suspended", "suspended"),
        ("active", "active", "closed", "closed"),
        ("active", "suspended", "active", "suspended"),
        ("suspended", "active", "active", "suspended"),
        ("closed", "active", "active", "suspended"),
        ("suspended", "active", "closed", "closed"),
    ],
)
def test_nobody_is_active_below_who_is_not(top: str, middle: str, own: str, status: str) -> None:
    rows = [replace(row, status=given) for row, given in zip(CHAIN, (top, middle, own), strict=True)]
    assert of(*rows).status == status


def test_ancestors_with_a_ceiling_are_named_nearest_first() -> None:
    assert of(*CHAIN).ancestors == ()
    rows = (replace(TOP, max_in=0), replace(MIDDLE, max_dialer=7), replace(OWN, max_out=1))
    assert of(*rows).ancestors == (
        Ancestor("acc_mid", None, None, 7),
        Ancestor("acc_top", 0, None, None),
    )


def test_a_chain_ends_where_a_parent_is_missing() -> None:
    assert of(replace(MIDDLE, max_in=1), OWN).ancestors == (Ancestor("acc_mid", 1, None, None),)
