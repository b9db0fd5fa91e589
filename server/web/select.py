"""Which hosts an expression means, before anything runs."""

from __future__ import annotations

from server.core.selection import Selection
from server.web.answers import FOLDED_CHARS, folded_names
from server.web.bodies import SelectBody
from server.web.call import Call, Reply
from server.web.checks import refuse
from server.web.targets import NAMED, evaluate, first, look_up, read, text_of, wrong
from server.web.views_answers import SelectedHost, SelectionView, WarningView

SAMPLE_MAX = 500


async def select_hosts(call: Call) -> Reply:
    """See which hosts a selector means.

    Nothing is created. Names that no host has, which a task would be refused for, are warnings here.
    """
    body, deps = call.body, call.deps
    assert isinstance(body, SelectBody)
    if not 0 <= body.sample <= SAMPLE_MAX:
        raise refuse("sample", f"must lie between 0 and {SAMPLE_MAX}, not {body.sample}", f"ask for at most {SAMPLE_MAX} hosts; GET /api/v1/hosts?select= lists all of them")
    chosen = await read(body.targets, deps)
    for text, error in chosen.malformed.items():
        raise wrong(error, chosen.where, text)
    await look_up(chosen, deps, call.desk.answers)
    found = await evaluate(chosen, deps)
    hosts, online = deps.fleet.directory.hosts, deps.fleet.online()
    offline = sum(host_id not in online for host_id in found.host_ids)
    sample = [SelectedHost(host_id=host_id, hostname=hosts[host_id].hostname, connected=host_id in online) for host_id in found.host_ids[: body.sample]]
    # last: while it waits, hosts may come and go
    folded = await folded_names(deps, [hosts[host_id].hostname for host_id in found.host_ids], None if body.whole else FOLDED_CHARS)
    return Reply(
        SelectionView(
            text=text_of(body.targets),
            count=len(found.host_ids),
            offline=offline,
            folded=folded.text,
            more=folded.more,
            sample=sample,
            warnings=_warnings(found),
            refused=bool(found.unknown or found.ambiguous or not found.host_ids or len(found.host_ids) > deps.limits.hosts_per_task),
        )
    )


def _warnings(found: Selection) -> list[WarningView]:
    named = (
        ("unknown_hosts", list(found.unknown), "no host is called {}"),
        ("ambiguous_hosts", list(found.ambiguous), "several hosts are called {}; use their ids"),
        ("nothing_matched", list(found.unmatched), "no host matches {}"),
    )
    warnings = [WarningView(code=code, message=text.format(first(names)), count=len(names), names=names[:NAMED]) for code, names, text in named if names]
    if found.gone:
        message = "1 host of the task has been deleted since" if found.gone == 1 else f"{found.gone} hosts of the task have been deleted since"
        warnings.append(WarningView(code="hosts_deleted", message=message, count=found.gone, names=[]))
    return warnings
