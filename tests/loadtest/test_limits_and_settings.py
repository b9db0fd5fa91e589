"""The division of agents over processes, and the settings of a started server."""

from __future__ import annotations

import resource
import uuid
from ipaddress import ip_address
from pathlib import Path

import pytest

from loadtest import files
from loadtest.options import CannotRun, Options
from loadtest.site.target import settings_of
from loadtest.swarm.names import address_of, host_id_of


@pytest.mark.parametrize(
    ("agents", "limit", "wanted", "split"),
    [
        (10_000, 20_000, None, [10_000]),
        (19_800, 20_000, None, [19_800]),
        (19_801, 20_000, None, [9_901, 9_900]),
        (10_000, 1_024, None, [770] * 12 + [760]),
        (10, 20_000, 3, [4, 3, 3]),
        (2, 20_000, 8, [1, 1]),
    ],
)
def test_agents_are_split_evenly_over_as_few_processes_as_the_limit_allows(
    agents: int, limit: int, wanted: int | None, split: list[int]
) -> None:
    found = files.split(agents, limit, wanted)
    assert sum(found) == agents
    assert len(found) == len(split)
    assert max(found) - min(found) <= 1 and max(found) <= limit - files.SPARE
    if split[0] != 770:
        assert found == split


def test_too_few_open_files_are_reported_with_the_needed_number() -> None:
    with pytest.raises(CannotRun, match="--processes 13"):
        files.split(10_000, 1_024, 2)
    with pytest.raises(CannotRun, match="ulimit -n"):
        files.split(10, 100, None)
    with pytest.raises(CannotRun, match="ulimit -n 30200"):
        files.check_server(30_000, 20_000)
    files.check_server(19_800, 20_000)


def test_the_limit_of_open_files_is_that_of_this_process() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert files.limit() == (1 << 20 if hard == resource.RLIM_INFINITY else hard)


def test_limits_of_the_server_are_raised_where_the_agents_need_it() -> None:
    assert not [one for one in settings_of(Options(agents=10_000)) if one.startswith("limits.")]
    assert "limits.in_flight=24000" in settings_of(Options(agents=12_000))
    assert {"limits.hosts_per_task=25000", "limits.in_flight_per_task=25000"} <= set(
        settings_of(Options(agents=25_000))
    )


def test_every_agent_on_loopback_connects_from_its_own_address() -> None:
    found = [ip_address(address_of(index, "127.0.0.1") or "") for index in range(0, 1_000_000, 7)]
    assert len(set(found)) == len(found)
    assert all(one.is_loopback for one in found) and ip_address("127.0.0.1") not in found
    assert address_of(0, "192.0.2.1") is None


def test_a_server_with_tls_lets_agents_join_as_fast_as_they_can() -> None:
    plain, tls = settings_of(Options(agents=10_000)), settings_of(Options(agents=20_000, tls=True))
    assert "agent_port.insecure_loopback=true" in plain and not [one for one in plain if "connections" in one]
    assert {"agent_port.connections=21000", "enrol.per_second=100000"} <= set(tls)
    assert not [one for one in tls if "insecure" in one or "per_address" in one]


def test_settings_of_the_user_override_the_defaults() -> None:
    assert settings_of(Options(sets=("log.level=info",)))[-1] == "log.level=info"


def test_a_mysql_store_must_be_named() -> None:
    with pytest.raises(CannotRun, match=r"store\.host or store\.socket, store\.user, store\.database"):
        settings_of(Options(store="mysql"))
    full = ("store.socket=/s", "store.user=u", "store.database=d")
    assert set(full) < set(settings_of(Options(store="mysql", sets=full)))


def test_host_ids_are_uuids_of_version_7_that_depend_on_seed_and_number() -> None:
    ids = {host_id_of(seed, index) for seed in (1, 2) for index in range(500)}
    assert len(ids) == 1_000
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert host_id_of(1, 5) == host_id_of(1, 5)


def test_the_load_test_imports_neither_server_nor_agent() -> None:
    for path in Path(files.__file__).parent.rglob("*.py"):
        lines = [line.split() for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert not {words[1].split(".")[0] for words in lines} & {"server", "agent"}, path
