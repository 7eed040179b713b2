"""A plan for a terminal: lines with a style each. Pure."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.planning.changes import Sort
from reconciler.planning.fleet import NAMELESS
from reconciler.planning.settings import short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.model.resource import ResourceKey
    from reconciler.model.spec import Tags
    from reconciler.planning.changes import FieldChange, ResourceChange
    from reconciler.planning.edges import EdgeChange
    from reconciler.planning.effect import GroupEffect, XdsChange
    from reconciler.planning.plan import Plan, Refusal, Risk, TlsChange, ZonePlan
    from reconciler.planning.settings import SettingChange
    from xds.resource import XdsResource

SIGNS = {Sort.ADDED: "+", Sort.CHANGED: "~", Sort.REMOVED: "-"}
LISTED_MAX = 40  # entries of one part; how many more there are is said
NAMES_MAX = 6  # xDS resources of one group
VALUE_MAX = 60  # characters of a field's value
DIFF_LINES_MAX = 2_000  # of one xDS resource


class Style(StrEnum):
    TITLE = "title"
    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    PLAIN = "plain"
    FAINT = "faint"


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    style: Style = Style.PLAIN


def lines(
    plan: Plan, readable: Callable[[XdsResource], dict[str, object]] | None
) -> Iterator[Line]:
    """`readable` gives the JSON form of an xDS resource; None: without the exact differences."""
    if plan.is_empty:
        yield Line("No change: what the documents mean is the same.", Style.GOOD)
        yield from _notes(plan.zones)
        return
    yield Line(risk_line(plan.risk), _RISK[plan.risk.level])
    yield from _part("Resources", plan.changes, _resource)
    traffic = [*_edges(plan)]
    if traffic:
        yield Line("")
        yield Line("Traffic", Style.TITLE)
        yield from traffic
    yield from _part("Settings", plan.settings, lambda change: _setting(change, plan))
    yield from _part("Warnings", plan.warnings, lambda p: [Line(f"  {p}", Style.WARNING)])
    if plan.shadow is not None:
        yield from _shadow(plan.shadow)
    yield Line("")
    yield Line("Zones", Style.TITLE)
    for zone in plan.zones:
        yield from _zone(zone, readable)


def _shadow(plan: Plan) -> Iterator[Line]:
    """What is looked at and not enforced, in short."""
    yield Line("")
    yield Line("If the shadow policies were in force", Style.TITLE)
    yield Line(f"  {risk_line(plan.risk)}", Style.FAINT)
    yield from _edges(plan)
    for change in plan.settings[:LISTED_MAX]:
        yield from _setting(change, plan)
    for zone in plan.zones:
        if zone.touched:
            yield from _zone(zone, None)


_RISK = {
    "high": Style.BAD, "medium": Style.WARNING, "unknown": Style.WARNING, "low": Style.GOOD,
}  # fmt: skip


def risk_line(risk: Risk) -> str:
    """One sentence: who is touched, and what may hurt."""
    parts = [f"{risk.touched} of {risk.proxies} proxies get another configuration"]
    if risk.drained:
        what = "listener or cluster" if risk.drained == 1 else "listeners and clusters"
        parts.append(f"open connections of {risk.drained} {what} drain")
    if risk.removed:
        parts.append(f"{_count(risk.removed, 'resource')} removed")
    if risk.closed:
        parts.append(f"{_count(risk.closed, 'way')} between services closed")
    if risk.opened:
        parts.append(f"{_count(risk.opened, 'way')} opened")
    if risk.weaker_tls:
        parts.append(f"mTLS weaker in {_count(risk.weaker_tls, 'mesh')}")
    if risk.other_ca:
        parts.append(f"another CA in {_count(risk.other_ca, 'mesh')}")
    if risk.refused:
        parts.append(f"{risk.refused} would not be admitted when they start again")
    if risk.dead_ends:
        parts.append(f"{_count(risk.dead_ends, 'route')} to where no endpoint is")
    if risk.unknown:
        parts.append(risk.unknown)
    return f"Risk {risk.level}: {', '.join(parts)}."


def _count(number: int, word: str) -> str:
    plural = "es" if word.endswith("sh") else "s"
    return f"{number} {word}" if number == 1 else f"{number} {word}{plural}"


def _part(
    title: str, entries: tuple[object, ...], show: Callable[..., Iterable[Line]]
) -> Iterator[Line]:
    if not entries:
        return
    yield Line("")
    yield Line(f"{title} ({len(entries)})", Style.TITLE)
    for entry in entries[:LISTED_MAX]:
        yield from show(entry)
    yield from _more(len(entries) - LISTED_MAX)


def _more(number: int) -> Iterator[Line]:
    if number > 0:
        yield Line(f"  and {number} more; --format json has all", Style.FAINT)


def _resource(change: ResourceChange) -> Iterator[Line]:
    style = {Sort.ADDED: Style.GOOD, Sort.REMOVED: Style.BAD}.get(change.sort, Style.PLAIN)
    yield Line(f"  {SIGNS[change.sort]} {change.key}  ({change.at})", style)
    for field in change.fields[:LISTED_MAX]:
        yield Line(f"      {field_text(field)}")
    yield from _more(len(change.fields) - LISTED_MAX)


def field_text(change: FieldChange) -> str:
    before, after = (_cut(short(text)) for text in (change.before, change.after))
    return f"{change.field or 'all of it'}: {before} → {after}"


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_MAX else f"{text[: VALUE_MAX - 1]}…"


# --- traffic ---


def _edges(plan: Plan) -> Iterator[Line]:
    for tls in plan.tls:
        yield Line(f"  {tls_text(tls)}", Style.BAD if tls.is_weaker else Style.WARNING)
    shown = sorted(plan.edges, key=lambda edge: (not edge.closes, not edge.opens))
    for edge in shown[:LISTED_MAX]:
        style = Style.BAD if edge.closes else Style.GOOD if edge.opens else Style.WARNING
        yield Line(f"  {edge_text(edge)}{by_text(edge.origins, plan)}", style)
    yield from _more(len(shown) - LISTED_MAX)


def tls_text(change: TlsChange) -> str:
    if change.backend and change.before is change.after:
        return f"mesh {change.mesh}: another CA signs certificates"
    weaker = " (weaker)" if change.is_weaker else ""
    other = ", another CA signs certificates" if change.backend else ""
    return f"mesh {change.mesh}: mTLS {change.before} → {change.after}{weaker}{other}"


def edge_text(edge: EdgeChange) -> str:
    target = edge.service + _subset(edge.subset)
    sign = "x" if edge.closes else "+" if edge.opens else "~"
    return (
        f"{sign} {edge.caller or NAMELESS} → {target} in {edge.mesh}: {edge.before} → {edge.after}"
        f"  [{pairs_text(edge.pairs)}]"
    )


def _subset(tags: Tags) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in tags) + "}" if tags else ""


def pairs_text(pairs: tuple[tuple[str, str], ...]) -> str:
    """Zones of callers and of destinations."""
    shown = [one if one == other else f"{one} → {other}" for one, other in pairs[:NAMES_MAX]]
    more = len(pairs) - NAMES_MAX
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def by_text(origins: tuple[ResourceKey, ...], plan: Plan) -> str:
    """The policies that decide, and where they stand."""
    found = []
    for key in origins[-3:]:
        written, at = plan.places.get(key, (key, None))
        found.append(f"{written} ({at})" if at is not None else f"{written} (a default)")
    return f"  by {', '.join(found)}" if found else ""


def _setting(change: SettingChange, plan: Plan) -> Iterator[Line]:
    yield Line(f"  {scope_text(change)}: for {who_text(change)}{by_text(change.origins, plan)}")
    for field in change.fields[:NAMES_MAX]:
        yield Line(f"      {field_text(field)}")
    yield from _more(len(change.fields) - NAMES_MAX)


def scope_text(change: SettingChange) -> str:
    scope = change.scope
    where = f" {scope.direction} {scope.other}" if scope.other else ""
    return f"{scope.kind}{where} in {change.mesh}"


def who_text(change: SettingChange) -> str:
    shown = [f"{title} in {zone} ({count})" for zone, title, count in change.who[:NAMES_MAX]]
    more = len(change.who) - NAMES_MAX
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


# --- zones ---


def _zone(
    zone: ZonePlan, readable: Callable[[XdsResource], dict[str, object]] | None
) -> Iterator[Line]:
    kind = "" if zone.native else ", computed by its own Kuma control plane"
    yield Line(f"  {zone.zone}: {zone.touched} of {zone.proxies} proxies{kind}")
    for effect in zone.effects[:LISTED_MAX]:
        yield Line(f"      {effect_text(effect)}", Style.BAD if effect.left else Style.PLAIN)
        if readable is not None:
            for change in effect.changes:
                yield from _difference(change, readable)
    yield from _more(len(zone.effects) - LISTED_MAX)
    for refusal in zone.refusals[:LISTED_MAX]:
        yield Line(f"      {refusal_text(refusal)}", Style.BAD)
    yield from _more(len(zone.refusals) - LISTED_MAX)
    yield from _notes((zone,))


def effect_text(effect: GroupEffect) -> str:
    mesh = f" in {effect.mesh}" if effect.mesh else ""
    who = f"{effect.title}{mesh} ({effect.proxies} of {effect.of})"
    if effect.left:
        return f"{who}: keeps what it has and gets no more: {effect.left}"
    names = [f"{SIGNS[c.sort]}{c.type} {c.name}" for c in effect.changes[:NAMES_MAX]]
    more = len(effect.changes) - NAMES_MAX
    return f"{who}: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")


def refusal_text(refusal: Refusal) -> str:
    who = f"{refusal.services} in {refusal.mesh} ({refusal.proxies})"
    return f"{who}: not admitted again once they or their zone restart: {refusal.reason}"


def _notes(zones: Iterable[ZonePlan]) -> Iterator[Line]:
    for zone in zones:
        for note in zone.notes:
            yield Line(f"      {zone.zone}: {note}", Style.WARNING)


def _difference(
    change: XdsChange, readable: Callable[[XdsResource], dict[str, object]]
) -> Iterator[Line]:
    styles = {"+": Style.GOOD, "-": Style.BAD}
    yield Line(f"        {change.type} {change.name}", Style.TITLE)
    for text in difference(change, readable):
        yield Line(f"        {text}", styles.get(text[:1], Style.FAINT))


def difference(
    change: XdsChange, readable: Callable[[XdsResource], dict[str, object]]
) -> Iterator[str]:
    """Of two resources in protobuf's JSON form."""
    before, after = (
        json.dumps(readable(side), indent=2, sort_keys=True).splitlines() if side else []
        for side in (change.before, change.after)
    )
    found = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
    yield from found[:DIFF_LINES_MAX]
    if len(found) > DIFF_LINES_MAX:
        yield f"… {len(found) - DIFF_LINES_MAX} lines more"
