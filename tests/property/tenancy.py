"""Twenty tenants with the same extensions, numbers side by side, and targets of every kind that often go in circles."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.support import rows, seeds

TENANTS = 20
EXTENSIONS = tuple(str(number) for number in range(1001, 1013))
SHORT = tuple(str(number) for number in range(60, 70))
NUMBERS = 6


def number_of(tenant: int, index: int) -> str:
    return f"1202555{tenant:02d}{index:02d}"


def configuration(rng: random.Random, number: int, tenant: seeds.Tenant) -> Iterator[rows.Row]:
    """Targets of every kind, within the tenant, at random: many go in circles."""
    base = number * 1000
    users = [person.user_id for person in tenant.people.values()]
    kinds = {
        "user": users,
        "extension": [f"ext_{seeds.suffix(base + index)}" for index in range(len(SHORT))],
        "ring_group": [f"rg_{seeds.suffix(base + index)}" for index in range(4)],
        "forward": [f"fwd_{seeds.suffix(base + index)}" for index in range(4)],
        "hangup": ["486", ""],
        "voicemail": ["vm_1"],
    }

    def target() -> tuple[str, str]:
        kind = rng.choices(list(kinds), (6, 4, 4, 3, 1, 1))[0]
        return kind, rng.choice(kinds[kind])

    def hours() -> dict[str, rows.Value]:
        closed = target()
        attached: dict[str, rows.Value] = {"schedule_id": f"sch_{seeds.suffix(base + rng.randrange(2))}"}
        return attached | {"closed_dest_kind": closed[0], "closed_dest_id": closed[1]} if rng.random() < 0.3 else {}

    for index in range(2):
        yield rows.schedule(tenant, base + index)
        yield rows.schedule_rule(tenant, base + index, base + index, dow=rng.randrange(7), start_time="08:00")
    for index, digits in enumerate(SHORT):
        kind, dest = target()
        yield rows.extension(tenant, base + index, digits, dest_kind=kind, dest_id=dest, **hours())
    for index in range(4):
        strategy = ("ring_all", "sequential", "round_robin")[rng.randrange(3)]
        exit_to = target() if rng.random() < 0.7 else (None, None)
        yield rows.ring_group(
            tenant, base + index, strategy=strategy, exit_dest_kind=exit_to[0], exit_dest_id=exit_to[1], **hours()
        )
        for place, user_id in enumerate(rng.sample(users, rng.randrange(4))):
            yield rows.member(tenant, base + index * 10 + place, base + index, user_id=user_id, delay_sec=place * 3)
    for index in range(4):
        # Numbers of this tenant, of the next one, and of nobody.
        e164 = number_of(rng.choice((number, number, (number % TENANTS) + 1, 99)), rng.randrange(8))
        yield rows.forward(tenant, base + index, e164)
    for index in range(NUMBERS):
        kind, dest = target()
        yield rows.did(
            tenant,
            base + index,
            number_of(number, index),
            dest_kind=kind,
            dest_id=dest,
            accept_any_source=index % 2,
            allow_anonymous=rng.randrange(2),
            **hours(),
        )
    for user_id in users:
        changes: dict[str, rows.Value] = {"ring_strategy": rng.choice(("simultaneous", "sequential", "specific"))}
        for rule in ("always", "busy", "noanswer"):
            if rng.random() < (0.2 if rule == "always" else 0.6):
                changes |= dict(zip((f"fwd_{rule}_kind", f"fwd_{rule}_id"), target(), strict=True))
        changes |= {"dnd": int(rng.random() < 0.1), "max_simultaneous": rng.choice((None, None, 2))}
        yield rows.update("sip_user", user_id, **changes)


def named(number: int, tenant: seeds.Tenant) -> set[str]:
    """The ids of the tenant's own people, devices and numbers, and its own: all that its calls may hold or name."""
    people = tenant.people.values()
    dids = {f"did_{seeds.suffix(number * 1000 + index)}" for index in range(NUMBERS)}
    return {tenant.account_id} | dids | {person.device_id for person in people} | {person.user_id for person in people}
