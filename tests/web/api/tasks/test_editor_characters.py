"""Texts with characters that editors insert by themselves are refused, with the place and the remedy."""

from __future__ import annotations

import pytest

from server.core.effects import CreateTask
from server.core.states import TaskStatus
from tests.changed import replace
from tests.web.world import World

BAD = [
    # body, field, part of the message, part of the hint
    ({"script": "#!/bin/sh\r\nmkdir app\r\n"}, "script", "line 1", "Unix line ends"),
    ({"script": "#!/bin/sh\nmkdir app\nmkdir lib\r\n"}, "script", "line 3", "Unix line ends"),
    ({"script": "#!/bin/bash\r\n"}, "script", "line 1", "Unix line ends"),
    ({"script": "#!/bin/bash\r"}, "script", "line 1", "Unix line ends"),
    ({"script": "#!/bin/sh\necho a\r"}, "script", "line 2", "Unix line ends"),
    ({"script": "mkdir app\r\n"}, "script", "line 1", "Unix line ends"),
    ({"script": "mkdir a\rmkdir b\r"}, "script", "old Macs", "tr '\\r' '\\n'"),
    ({"script": "#!/bin/sh\recho a"}, "script", "old Macs", "tr '\\r' '\\n'"),
    ({"command": "echo a\recho b"}, "command", "old Macs", "tr '\\r' '\\n'"),
    ({"script": "#!/bin/sh\recho a\n"}, "script", "no part of it", "plain spaces"),
    ({"script": "print(1)\r\n", "interpreter": "python3"}, "script", "line 1", "Unix line ends"),
    ({"command": "mkdir app\r\nmkdir lib"}, "command", "line 1", "Unix line ends"),
    ({"command": "mkdir app\r"}, "command", "line 1", "Unix line ends"),
    ({"script": "\ufeff#!/usr/bin/python3\nprint(1)\n"}, "script", "byte-order mark", "UTF-8 without"),
    ({"script": "\ufeffecho hi\n"}, "script", "byte-order mark", "UTF-8 without"),
    ({"script": "\ufeffprint(1)\n", "interpreter": "python3"}, "script", "byte-order mark", "UTF-8 without"),
    ({"command": "\ufeffecho hi"}, "command", "byte-order mark", "UTF-8 without"),
    ({"script": "#\0!\0/\0b\0i\0n\0"}, "script", "NUL characters, as UTF-16", "UTF-8"),
    ({"script": "\0#\0!\0/\0b\0i\0n"}, "script", "NUL characters, as UTF-16", "UTF-8"),
    ({"script": "\ufffe#!"}, "script", "NUL characters, as UTF-16", "UTF-8"),
    ({"script": "\n#!/usr/bin/python3\nprint(1)\n"}, "script", "does not begin with its #! line", "before #!"),
    ({"script": "  #!/bin/bash\necho hi\n"}, "script", "does not begin with its #! line", "before #!"),
    ({"script": "\u200b#!/bin/bash\necho hi\n"}, "script", "does not begin with its #! line", "before #!"),
    ({"script": "#!\necho hi\n"}, "script", "names no interpreter", "/bin/sh"),
    ({"script": "#!   \t\necho hi\n"}, "script", "names no interpreter", "/bin/sh"),
    ({"script": "#!/usr/bin/env\u00a0python3\nprint(1)\n"}, "script", "no part of it", "plain spaces"),
    ({"script": "#!/bin/bash\u00a0\necho hi\n"}, "script", "no part of it", "plain spaces"),
    ({"script": "#!/bin/bash\ufeff\necho hi\n"}, "script", "no part of it", "plain spaces"),
    ({"script": "#!/bin/bash \x0c\necho hi\n"}, "script", "no part of it", "plain spaces"),
    ({"script": "#!/bin/bash\nls\u00a0-l\n"}, "script", "U+00A0", "plain space"),
    ({"script": "#!/usr/bin/env bash\n\u3000ls\n"}, "script", "line 2, column 1", "plain space"),
    ({"command": "ls\u00a0-l"}, "command", "line 1, column 3", "plain space"),
    ({"command": "ls\u2007--all"}, "command", "U+2007", "plain space"),
    ({"command": "true &&\u00a0ls"}, "command", "U+00A0", "plain space"),
    ({"command": "ls\u00a0| wc"}, "command", "U+00A0", "plain space"),
    ({"command": "\u200bls"}, "command", "U+200B", "plain space"),
    ({"script": "x", "interpreter": "/bin/bash\r"}, "interpreter", "no part of a program's name", "plain spaces"),
    ({"script": "x", "interpreter": "python3\u00a0-u"}, "interpreter", "no part of a program's name", "plain spaces"),
    ({"script": "x", "interpreter": "\ufeffpython3"}, "interpreter", "no part of a program's name", "plain spaces"),
    ({"script": "x", "interpreter": "python3\n-u"}, "interpreter", "no part of a program's name", "plain spaces"),
    ({"command": "ls", "cwd": "/srv/app\r"}, "cwd", "control characters", "remove"),
    ({"command": "ls", "cwd": "/srv/app\n"}, "cwd", "control characters", "remove"),
]
GOOD = [
    {"script": "#!/bin/sh\nprintf 'a\\r\\n'\n"},
    {"script": "#!/bin/sh\nprintf '10%%\r20%%\n'\n"},
    {"script": "#! /usr/bin/env  python3 \nprint('\u00a0 -x')\n"},
    {"script": "#!/usr/bin/python3\n\u00a0\n"},
    {"script": "echo '#!/bin/sh' > x\n"},
    {"script": "# a comment\n#!/bin/sh\n"},
    {"script": "print(1)", "interpreter": "/opt/my python/bin/python3 -u"},
    {"command": "echo 'caf\u00e9\u00a0noir'"},
    {"command": "echo \u65e5\u672c"},
    {"command": "echo a\rb\nls"},
    {"script": "#!/" + "x" * 300 + "/python3\n"},
]


@pytest.mark.parametrize(("body", "field", "says", "hint"), BAD, ids=lambda value: ascii(value)[:60])
async def test_a_text_with_editor_characters_is_refused(
    world: World, body: dict[str, str], field: str, says: str, hint: str
) -> None:
    answer = await world.post("/api/v1/run", {"targets": ["web-1"], **body})
    assert (answer.status, answer.error["code"], answer.error["field"]) == (422, "invalid_value", field), answer.data
    assert says in answer.error["message"] and hint in answer.error["hint"], answer.error
    assert (await world.get("/api/v1/tasks")).json["items"] == []


@pytest.mark.parametrize("body", GOOD, ids=lambda value: ascii(value)[:60])
async def test_a_text_that_may_be_intended_is_accepted_unchanged(world: World, body: dict[str, str]) -> None:
    answer = await world.post("/api/v1/tasks", {"targets": ["web-1"], **body})
    assert answer.status == 201, answer.data
    assert {name: answer.json["command"][name] for name in body} == body


async def test_a_rerun_checks_a_command_that_an_earlier_release_accepted(world: World) -> None:
    task = await world.run("web-1")
    await world.conductor.committed()
    command = (await world.store.commands(task["task_id"]))[0]
    old = await world.store.task(task["task_id"])
    assert old is not None
    fresh = replace(old, task_id=old.task_id[:-4] + "beef", targets=(world.ids["web-1"],), status=TaskStatus.FAILED)
    spoilt = replace(
        command,
        command_id=command.command_id[:-4] + "beef",
        task_id=fresh.task_id,
        command=None,
        script="#!/bin/sh\r\ntrue\r\n",
    )
    await world.writer.commit([CreateTask(fresh, spoilt)])
    answer = await world.post(f"/api/v1/tasks/{fresh.task_id}/rerun", {"only": ["all"]})
    assert (answer.status, answer.error["field"]) == (422, "script"), answer.data
