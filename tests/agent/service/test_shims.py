"""The agent and its commands in two services: each may end without the other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio

from agent.errors import BadSettings, ShimsUnavailable
from agent.shim import records
from agent.shim.forkserver import PROTOCOL, SPAWN, Request
from agent.shim.system import linux
from proto.messages import Outcome
from tests.agent.peer import Peer, peer
from tests.agent.process import TOKEN, AgentProcess, agent, run_agent
from tests.agent.service.shims_unit import PASS, ShimsUnit, ask, shims_unit
from tests.agent.shim.test_boot_id import OTHER, needs_namespaces

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[ShimsUnit]:
    with shims_unit(tmp_path) as one:
        yield one


@pytest.fixture
async def split(tmp_path: Path, unit: ShimsUnit) -> AsyncIterator[tuple[Peer, AgentProcess, ShimsUnit]]:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, shims_socket=unit.path) as process:
        await server.welcomed(1)
        yield server, process, unit


def until(gate: Path) -> str:
    return f"while [ ! -e {gate} ]; do sleep 0.02; done; echo kept; exit 3"


def parent_of(process: AgentProcess, command: str) -> int:
    started = records.read_started(process.directory(command))
    assert started is not None
    one = linux.process(started.pid)
    assert one is not None
    return one.parent


async def kept(server: Peer, command: str, gate: Path) -> None:
    """The command ends with its real result."""
    os.close(os.open(gate, os.O_CREAT | os.O_WRONLY))
    result = await server.result(command)
    assert (result.outcome, result.exit_code, result.stdout.head) == (Outcome.FAILED, 3, b"kept\n")


@pytest.mark.capability("Z11")
async def test_commands_belong_to_the_service_and_survive_the_agent(
    split: tuple[Peer, AgentProcess, ShimsUnit], tmp_path: Path
) -> None:
    server, process, unit = split
    command = await server.dispatch(command=until(tmp_path / "gate"))
    await server.get("started", command)
    assert parent_of(process, command) == unit.pid
    assert process.process is not None
    own = process.process.pid
    assert not [one for one in linux.processes().values() if one.parent == own], "the agent starts no process"
    for session in (2, 3):
        await process.kill()
        await server.gone()
        await process.start()
        await server.welcomed(session)
    assert unit.process is not None and unit.process.poll() is None
    await kept(server, command, tmp_path / "gate")
    assert (await server.result(await server.dispatch(argv=["echo", "next"]))).stdout.head == b"next\n"
    assert await process.terminate() == 0


@pytest.mark.capability("Z11")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_commands_survive_the_service_and_the_agent_uses_the_next_one(
    split: tuple[Peer, AgentProcess, ShimsUnit], tmp_path: Path, number: signal.Signals
) -> None:
    server, process, unit = split
    command = await server.dispatch(command=until(tmp_path / "gate"))
    endless = await server.dispatch(command="exec sleep 1000")
    for one in (command, endless):
        await server.get("started", one)
    assert unit.end(number) == (0 if number == signal.SIGTERM else -number)
    await server.cancel(endless, seq=server.seq + 1)
    assert (await server.result(endless)).outcome is Outcome.CANCELED
    # a request that arrives while no service runs waits for it in the socket
    waiting = await server.dispatch(argv=["echo", "waited"])
    await server.get("accepted", waiting)
    unit.start()
    assert (await server.result(waiting)).stdout.head == b"waited\n"
    after = await server.dispatch(command="exec sleep 1000")
    await server.get("started", after)
    assert parent_of(process, after) == unit.pid
    await server.cancel(after, seq=server.seq + 1)
    assert (await server.result(after)).outcome is Outcome.CANCELED
    await kept(server, command, tmp_path / "gate")
    assert process.process is not None and process.process.returncode is None


async def test_both_restart_at_once_as_in_an_upgrade(
    split: tuple[Peer, AgentProcess, ShimsUnit], tmp_path: Path
) -> None:
    server, process, unit = split
    command = await server.dispatch(command=until(tmp_path / "gate"))
    await server.get("started", command)
    await process.kill()
    await server.gone()
    unit.end(signal.SIGTERM)
    await process.start()
    unit.start()
    await server.welcomed(2)
    await kept(server, command, tmp_path / "gate")


WITHOUT_SWEEP = """
import sys
from agent.main import main
from agent.shim.system import tree
def refuse(directory):
    raise AssertionError("the sandbox of the agent does not allow it")
tree.sweep_here = refuse
sys.argv = ["clarion-agent", "run"]
main()
"""


async def test_the_service_ends_the_processes_of_a_killed_shim(tmp_path: Path, unit: ShimsUnit) -> None:
    async with (
        peer(TOKEN) as server,
        agent(tmp_path, server.port, begin=False, shims_socket=unit.path) as process,
    ):
        await process.start(before=[sys.executable, "-c", WITHOUT_SWEEP])
        await server.welcomed(1)
        command = await server.dispatch(command="sleep 1000 & sleep 1000")
        await server.get("started", command)
        started = records.read_started(process.directory(command))
        assert started is not None
        left: list[linux.Process] = []
        while not left:
            await trio.sleep(0.01)
            left = [one for one in linux.processes().values() if one.parent == started.child_pid]
        process.kill_shim(command, children=False)
        result = await server.result(command)
        assert (result.outcome, result.error_code) == (Outcome.LOST, "shim_died")
        for one in left:
            now = linux.process(one.pid)
            assert now is None or now.dead or now.starttime != one.starttime


@needs_namespaces
async def test_the_boot_id_is_that_of_the_service(tmp_path: Path, unit: ShimsUnit) -> None:
    (tmp_path / "boot_id").write_text(f"{OTHER}\n")
    cover = f'mount --bind {tmp_path}/boot_id /proc/sys/kernel/random/boot_id && exec "$@"'
    sandbox = ["unshare", "-m", "sh", "-c", cover, "sh"]
    async with (
        peer(TOKEN) as server,
        agent(tmp_path, server.port, begin=False, shims_socket=unit.path) as process,
    ):
        await process.start(before=sandbox)
        hello = await server.welcomed(1)
        assert hello.boot_id != OTHER
        command = await server.dispatch(command=until(tmp_path / "gate"))
        await server.get("started", command)
        await process.kill()
        await server.gone()
        await process.start()  # without the sandbox: the host was not restarted
        await server.welcomed(2)
        await kept(server, command, tmp_path / "gate")
        assert "boot_ids_differ" in process.log_path.read_text()


# --- who may ask, and for what ----------------------------------------------------------------------------------------

ASK_AS_NOBODY = """
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
os.setgid(65534), os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(os.path.basename(sys.argv[1]))
s.send(sys.argv[2].encode())
print(s.recv(65536).decode())
print(repr(s.recv(65536)))
"""


@needs_root
def test_another_user_is_refused_and_nothing_is_started(unit: ShimsUnit, tmp_path: Path) -> None:
    directory = tmp_path / "state" / "commands" / "x.1"
    directory.mkdir(parents=True)
    (directory / records.SPEC).write_text('{"argv": ["true"]}')
    for path in (unit.path, unit.path.parent):
        path.chmod(0o777)  # the service does not rely on the socket's mode
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ASK_AS_NOBODY,
            str(unit.path),
            f'{{"id":1,"action":"{SPAWN}","directory":"{directory}"}}',
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "not this user" in done.stdout and done.stdout.endswith("b''\n"), done
    assert "peer_refused" in unit.log and '"uid":65534' in unit.log
    with unit.connect() as connection:
        assert ask(connection, Request(1, "greet")).protocol == PROTOCOL
    assert os.listdir(directory) == [records.SPEC]


SERVE_AS_NOBODY = """
import os, socket, sys
os.chdir(os.path.dirname(sys.argv[1]))
os.setgid(65534), os.setuid(65534)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(os.path.basename(sys.argv[1]))
s.listen()
print("ready", flush=True)
s.accept()[0].recv(65536)
"""


@pytest.fixture
def foreign_service(tmp_path: Path) -> Iterator[Path]:
    """A socket that another user serves."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    socket_path = folder / "shims.sock"
    with subprocess.Popen([sys.executable, "-c", SERVE_AS_NOBODY, str(socket_path)], stdout=subprocess.PIPE) as fake:
        assert fake.stdout is not None and fake.stdout.readline() == b"ready\n"
        yield socket_path
        fake.kill()


@needs_root
async def test_an_agent_asks_no_other_user_s_service(tmp_path: Path, foreign_service: Path) -> None:
    async with peer(TOKEN) as server, agent(tmp_path, server.port, shims_socket=foreign_service) as process:
        assert process.process is not None
        with trio.fail_after(30):
            assert await process.process.wait() == ShimsUnavailable.exit_code
        assert "user 65534 serves it" in process.log_path.read_text()


async def test_the_service_applies_its_policy_to_commands_of_the_agent(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("shell = false\n")
    with shims_unit(tmp_path, policy_file=policy) as unit:
        async with peer(TOKEN) as server, agent(tmp_path, server.port, shims_socket=unit.path) as process:
            await server.welcomed(1)
            refused = await server.result(await server.dispatch(command="touch ran"))
            assert (refused.outcome, refused.error_code) == (Outcome.FAILED, "refused")
            assert "argv only" in refused.error_message
            assert (await server.result(await server.dispatch(argv=["echo", "yes"]))).stdout.head == b"yes\n"
            for text, event, shell in (
                ("shell = nonsense", "reload_failed", False),
                ("shell = true", "policy_reloaded", True),
                ("run_as = ['nobody-else']", "policy_reloaded", False),
            ):
                policy.write_text(text)
                before = unit.log.count(event)
                os.kill(unit.pid, signal.SIGHUP)
                with trio.fail_after(20):
                    while unit.log.count(event) == before:  # noqa: ASYNC110 - a log has no event
                        await trio.sleep(0.01)
                result = await server.result(await server.dispatch(command="exit 0"))
                assert (result.outcome is Outcome.COMPLETED) is shell, text
            assert "refused" not in process.log_path.read_text(), "the agent has no policy"


@pytest.mark.parametrize("place", ["elsewhere", "linked", "below", "relative", "up"])
def test_a_directory_outside_of_the_spool_is_refused(unit: ShimsUnit, tmp_path: Path, place: str) -> None:
    spool = tmp_path / "state" / "commands"
    target = tmp_path / "victim"
    for path in (spool / "a.1" / "b.1", target):
        path.mkdir(parents=True)
        (path / records.SPEC).write_text('{"argv": ["true"]}')
    (spool / "link.1").symlink_to(target)
    asked = {
        "elsewhere": target,
        "linked": spool / "link.1",
        "below": spool / "a.1" / "b.1",
        "relative": Path("state/commands/a.1"),
        "up": spool / "..",
    }[place]
    with unit.connect() as connection:
        for action in (SPAWN, "sweep"):
            answer = ask(connection, Request(1, action, str(asked)))
            assert answer.errno == 1 and str(asked) in answer.error
    assert os.listdir(target) == [records.SPEC] and os.listdir(spool / "a.1" / "b.1") == [records.SPEC]


def test_nonsense_ends_that_connection_only(unit: ShimsUnit) -> None:
    with unit.connect() as good, unit.connect() as bad:
        assert ask(good, Request(1, "greet")).version
        assert ask(good, Request(2, "fly")).error.endswith("cannot 'fly'")
        for text in (b"{", b"[]", b'{"id": "x", "action": "greet"}', b"\xff" * 100):
            with unit.connect() as bad:
                bad.send(text)
                assert bad.recv(100) == b""
        assert ask(good, Request(3, "greet")).id == 3


def test_connections_are_limited_and_the_oldest_goes(unit: ShimsUnit) -> None:
    opened = [unit.connect() for _ in range(17)]
    try:
        assert ask(opened[-1], Request(1, "greet")).id == 1
        assert opened[0].recv(100) == b""
        assert ask(opened[1], Request(1, "greet")).id == 1
    finally:
        for connection in opened:
            connection.close()


# --- the start --------------------------------------------------------------------------------------------------------


def test_without_a_socket_the_service_explains_how_it_is_started(tmp_path: Path) -> None:
    done = run_agent("shims", CLARION_AGENT_STATE=str(tmp_path))
    assert done.returncode == BadSettings.exit_code
    assert "LISTEN_FDS" in done.stderr and "clarion-shims.socket" in done.stderr


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_of_another_kind_is_refused(tmp_path: Path, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as wrong:
        wrong.bind(str(tmp_path / "wrong.sock"))
        if kind is socket.SOCK_STREAM:
            wrong.listen()
        done = subprocess.run(
            [sys.executable, "-c", PASS, str(wrong.fileno()), sys.executable, "-m", "agent", "shims"],
            pass_fds=[wrong.fileno()],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == BadSettings.exit_code and "ListenSequentialPacket" in done.stderr
