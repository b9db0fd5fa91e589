"""SIGHUP in a running server: what is applied, what needs a restart, and that a wrong value changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from server.lifecycle import reload, wiring
from server.lifecycle.reload import APPLIED
from server.security.init import initialise, read_token
from server.security.tokens import Kind
from server.settings.load import load
from server.settings.schema import Loaded, Settings
from server.settings.table import rows
from server.web.http.limits import Limits
from tests.web.world import World


class Site:
    """A data directory with its configuration file, and the reload of a server that uses them."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.data = world, folder / "data"
        initialise(self.data, 1_700_000_000_000, insecure=True)
        self.file = self.data / "server.toml"
        self.write("")
        settings = self.load().settings
        world.deps.limits = wiring.web_limits(settings)
        self.reload = reload.of_server(settings, self.load, world.deps, None)

    def load(self) -> Loaded:
        return load(self.file, environ={}, sets=["agent_port.insecure_loopback=true", f"data={self.data}"])

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def run(self) -> tuple[bool, list[dict[str, object]]]:
        with capture_logs() as lines:
            done = self.reload.run()
        return done, list(map(dict, lines))

    def header(self, name: str = "admin.token") -> dict[str, str]:
        return {"Authorization": f"Bearer {read_token(self.data / name, Kind.API).text}"}


@pytest.fixture
def site(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    levels: list[str] = []
    monkeypatch.setattr(reload.logs, "configure", levels.append)
    made = Site(world, tmp_path)
    made.levels = levels  # type: ignore[attr-defined]
    return made


async def test_limits_and_the_log_level_are_applied(site: Site) -> None:
    site.write(
        '[log]\nlevel = "debug"\n[limits]\nin_flight = 77\nhosts_per_task = 3\nlive_output_executions = 1\n'
        "[http]\npage_size_max = 200\n[liveness]\nlost_after = 99\n"
    )
    done, lines = site.run()
    assert done and site.levels == ["debug"], lines  # type: ignore[attr-defined]
    assert lines[-1]["event"] == "reloaded" and lines[-1]["settings"] == [
        "http.page_size_max",
        "limits.hosts_per_task",
        "limits.in_flight",
        "limits.live_output_executions",
        "liveness.lost_after",
        "log.level",
    ]
    await site.world.writer.commit([])
    limits = site.world.engine.state.limits
    assert (limits.in_flight, limits.lost_after) == (77, 99)
    assert site.world.deps.limits.hosts_per_task == 3
    assert site.world.fleet.watching._limits.executions == 1
    answer = await site.world.get("/api/v1/tasks?limit=201", headers=site.header())
    assert (answer.status, answer.error["field"]) == (422, "limit")
    described = (await site.world.get("/openapi.json", headers=site.header())).json
    limit = next(one for one in described["paths"]["/api/v1/tasks"]["get"]["parameters"] if one["name"] == "limit")
    assert limit["schema"]["maximum"] == 200


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[http]\nport = 9999\n", "http.port"),
        ("[http]\nmax_connections = 700\n", "http.max_connections"),
        ("[writer]\nlinger_ms = 3\n", "writer.linger_ms"),
        ("[liveness]\nheartbeat = 3\n", "liveness.heartbeat"),
        ("[guard]\nstreams = 5\n", "guard.streams"),
    ],
)
async def test_what_needs_a_restart_is_named_and_does_not_hinder_the_rest(site: Site, text: str, key: str) -> None:
    old = site.reload.settings
    site.write(f"{text}[limits]\nin_flight = 77\n")
    done, lines = site.run()
    assert done, lines
    assert lines[0] == {"event": "restart_needed", "settings": [key], "log_level": "warning"}
    section, name = key.split(".")
    assert getattr(getattr(site.reload.settings, section), name) == getattr(getattr(old, section), name)
    assert site.reload.settings.limits.in_flight == 77


@pytest.mark.capability("D11")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\nin_flight = 0\n", "limits.in_flight"),
        ("[limits]\nin_flihgt = 9\n", "did you mean"),
        ('[log]\nlevel = "loud"\n[limits]\nin_flight = 9\n', "log.level"),
        ("[limits\n", "is not TOML"),
        ("[limits]\nin_flight = 10\n[http]\nhost = '10.0.0.1'\n", "http.host"),
    ],
)
async def test_a_bad_file_changes_nothing(site: Site, text: str, says: str) -> None:
    before = (site.world.deps.limits, site.reload.settings)
    site.write(text)
    done, lines = site.run()
    assert not done and [line["event"] for line in lines] == ["reload_failed"]
    assert says in str(lines[0]["faults"])
    assert (site.world.deps.limits, site.reload.settings) == before and site.levels == []  # type: ignore[attr-defined]
    site.write("[limits]\nin_flight = 78\n")
    assert site.run()[0] and site.reload.settings.limits.in_flight == 78


async def test_a_value_that_needs_a_restarts_value_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(settings: Settings, given: object) -> list[tuple[str, str]]:
        wrong = settings.limits.in_flight > settings.writer.high_water
        return [("limits.in_flight", "is above writer.high_water")] if wrong else []

    monkeypatch.setattr(reload, "broken", broken)
    high = site.reload.settings.writer.high_water
    site.write(f"[limits]\nin_flight = {high + 10}\n[writer]\nhigh_water = {high + 20}\n")
    done, lines = site.run()
    assert not done and "needs a restart" in str(lines[0]["faults"])


async def test_tokens_are_replaced_and_sessions_of_the_old_token_end(site: Site) -> None:
    assert site.run()[0]
    old = site.header()
    secret = read_token(site.data / "admin.token", Kind.API).text
    login = await site.world.post("/api/v1/session", {"token": secret}, token=False)
    assert login.status == 201
    cookie = {"Cookie": login.headers["Set-Cookie"].split(";")[0]}
    assert (await site.world.get("/api/v1/session", headers=cookie, token=False)).status == 200
    (site.data / "admin.token").unlink()
    done, lines = site.run()
    assert not done and "admin.token" in str(lines[0]["faults"]), "without the file the old token stays"
    assert (await site.world.get("/api/v1/statistics", headers=old)).status == 200
    initialise(site.data, 1_700_000_000_000, insecure=True)
    assert site.run()[0]
    assert (await site.world.get("/api/v1/statistics", headers=old)).status == 401
    assert (await site.world.get("/api/v1/session", headers=cookie, token=False)).status == 401
    assert (await site.world.get("/api/v1/statistics", headers=site.header())).status == 200
    assert (await site.world.get("/metrics", headers=site.header("metrics.token"))).status == 200


async def test_without_a_source_only_tokens_are_read_again(site: Site) -> None:
    alone = reload.of_server(site.reload.settings, None, site.world.deps, None)
    assert alone.run()
    assert (await site.world.get("/api/v1/statistics", headers=site.header())).status == 200


def test_the_applied_settings_exist_and_reach_what_uses_them() -> None:
    assert set(rows()) >= APPLIED
    web = {one.name for one in dataclasses.fields(Limits)}
    engine = {"elapsed_checkpoint_interval", "lost_after", "unanswered_after", "watchdog_margin"}
    for key in APPLIED:
        section, name = key.split(".")
        if section == "http":
            assert name in web, key
        if section == "liveness":
            assert name in engine or name.startswith("mass_silence"), key
