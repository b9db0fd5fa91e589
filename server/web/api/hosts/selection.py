"""Endpoint that shows which hosts a selector matches."""

from __future__ import annotations

from itertools import islice

from server.core.selectors.evaluate import Selection
from server.ports import Fleet
from server.web.readmodel.result_groups import FOLDED_CHARS, folded_names
from server.web.readmodel.unknown_names import DETAILED, SHOWN, no_hosts, several_hosts
from server.web.request import ApiRequest, ApiResponse
from server.web.schemas.hosts import SelectedHost, SelectionView, WarningView
from server.web.schemas.requests import SelectBody
from server.web.service.checks import refuse
from server.web.service.targets import (
    combined,
    evaluate,
    expression_error,
    load_results,
    nothing_matched,
    parse_targets,
)


async def select_hosts(call: ApiRequest) -> ApiResponse:
    """Show which hosts a selector matches.

    Creates nothing. Names that match no host are warnings here; a task with them would be refused.
    """
    body, deps = call.body, call.deps
    assert isinstance(body, SelectBody)
    most = deps.limits.select_sample
    if not 0 <= body.sample <= most:
        raise refuse(
            "sample",
            f"must lie between 0 and {most}, not {body.sample}",
            f"ask for at most {most} hosts; GET /api/v1/hosts?select= lists all of them",
        )
    targets = await parse_targets(body.targets, deps)
    for text, error in targets.malformed.items():
        raise expression_error(error, targets.where, text)
    await load_results(targets, deps, call.context.result_groups)
    found = await evaluate(targets, deps)
    hosts, online = deps.fleet.directory.hosts, deps.fleet.online()
    offline = sum(host_id not in online for host_id in found.host_ids)
    sample = [
        SelectedHost(
            host_id=host_id,
            hostname=hosts[host_id].hostname,
            selector=deps.fleet.directory.selector_word(host_id),
            connected=host_id in online,
        )
        for host_id in found.host_ids[: body.sample]
    ]
    # last, because hosts may connect and disconnect during this await
    folded = await folded_names(
        deps,
        [deps.fleet.directory.unique_name(host_id) for host_id in found.host_ids],
        None if body.whole else FOLDED_CHARS,
    )
    return ApiResponse(
        SelectionView(
            text=combined(targets.texts),
            count=len(found.host_ids),
            offline=offline,
            folded=folded.text,
            more=folded.more,
            sample=sample,
            warnings=_warnings(found, deps.fleet),
            refused=bool(
                found.unknown
                or found.ambiguous
                or not found.host_ids
                or len(found.host_ids) > deps.limits.hosts_per_task
            ),
        )
    )


def _warnings(found: Selection, fleet: Fleet) -> list[WarningView]:
    warnings = []
    if unknown := list(found.unknown):
        warnings.append(
            WarningView(
                code="unknown_hosts", message=no_hosts(fleet, unknown), count=len(unknown), names=unknown[:DETAILED]
            )
        )
    if several := {name: list(ids)[:DETAILED] for name, ids in islice(found.ambiguous.items(), DETAILED)}:
        message = " ".join(several_hosts(name, ids) for name, ids in list(several.items())[:SHOWN])
        warnings.append(
            WarningView(
                code="ambiguous_hosts", message=message, count=len(found.ambiguous), names=list(several), ids=several
            )
        )
    if (message_of_none := nothing_matched(found)) is not None:
        warnings.append(
            WarningView(
                code="nothing_matched",
                message=message_of_none,
                count=len(found.unmatched),
                names=list(islice(found.unmatched, DETAILED)),
            )
        )
    if found.gone:
        message = (
            "1 host of the task has been deleted or replaced since"
            if found.gone == 1
            else f"{found.gone} hosts of the task have been deleted or replaced since"
        )
        warnings.append(WarningView(code="hosts_deleted", message=message, count=found.gone, names=[]))
    return warnings
