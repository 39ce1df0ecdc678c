"""Ways through a graph: what is reached, and where it goes round without ever waiting."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

Links = Mapping[str, Collection[str]]


def reached(links: Links, starts: Iterable[str]) -> set[str]:
    """`starts` and all that follows them."""
    seen: set[str] = set()
    left = list(starts)
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            left.extend(links.get(one, ()))
    return seen


def loops(links: Links, among: Collection[str]) -> list[list[str]]:
    """The groups of nodes of `among` that lead to one another by such nodes alone, in the order of `among`."""
    inner = _with_ways_on({one: [target for target in links.get(one, ()) if target in among] for one in among})
    groups: list[list[str]] = []
    done: set[str] = set()
    for one in inner:
        if one in done:
            continue
        after = reached(inner, inner[one])
        if one in after:
            group = [other for other in inner if other in after and one in reached(inner, inner[other])]
            groups.append(group)
            done.update(group)
    return groups


def _with_ways_on(links: Mapping[str, list[str]]) -> Mapping[str, list[str]]:
    """Without the nodes from which every way ends: in most graphs nothing is left."""
    ends = [one for one, targets in links.items() if not targets]
    open_ways = {one: len(targets) for one, targets in links.items()}
    sources: dict[str, list[str]] = {one: [] for one in links}
    for one, targets in links.items():
        for target in targets:
            sources[target].append(one)
    gone: set[str] = set()
    while ends:
        end = ends.pop()
        gone.add(end)
        for source in sources[end]:
            open_ways[source] -= 1
            if open_ways[source] == 0:
                ends.append(source)
    return {one: targets for one, targets in links.items() if one not in gone}
