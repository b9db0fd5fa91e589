"""Sources of settings, and error messages with key, source, value and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.settings.faults import SettingsError
from server.settings.load import FILE_LIMIT, Flag, load
from server.settings.schema import Loaded, Settings
from server.settings.table import rows


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(**given: object) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(**{"environ": {}, **given})  # type: ignore[arg-type]
    return [str(fault) for fault in caught.value.faults]


def file(text: str, name: str = "c.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_without_anything_every_value_is_its_default() -> None:
    loaded = load(environ={})
    assert loaded.settings == Settings()
    assert loaded.sources == dict.fromkeys(rows(), "default")


@pytest.mark.capability("D10")
def test_a_flag_overrides_environment_file_and_default_in_this_order() -> None:
    config = file("[http]\nport = 1\nmax_body = 5000001\nwait_max = 7\n")
    environ = {"CLARION_HTTP_PORT": "2", "CLARION_HTTP_MAX_BODY": "5000000"}
    loaded = load(config, environ=environ, sets=["http.port=3"])
    http = loaded.settings.http
    assert (http.port, http.max_body, http.wait_max, http.max_json_depth) == (3, 5_000_000, 7.0, 32)
    keys = ("http.port", "http.max_body", "http.wait_max", "http.max_json_depth")
    assert [loaded.sources[key] for key in keys] == [
        "flag --set",
        "environment CLARION_HTTP_MAX_BODY",
        "file c.toml",
        "default",
    ]


def test_a_named_flag_overrides_set_and_the_last_set_counts() -> None:
    loaded = load(
        environ={},
        sets=["http.port=1", "http.port=2", "agent_port.port=5"],
        flags=[Flag("--agent-port", "agent_port.port", "6")],
    )
    assert (loaded.settings.http.port, loaded.settings.agent_port.port) == (2, 6)
    assert loaded.sources["agent_port.port"] == "flag --agent-port"


def test_the_file_is_found_in_the_data_directory_or_where_the_variable_says() -> None:
    file("log.level = 'debug'", "data/server.toml")
    assert load(environ={}).sources["log.level"] == "file data/server.toml"
    file("log.level = 'error'", "other.toml")
    assert load(environ={"CLARION_CONFIG": "other.toml"}).settings.log.level == "error"
    file("log.level = 'warning'", "elsewhere/server.toml")
    assert load(environ={"CLARION_DATA": "elsewhere"}).settings.log.level == "warning"
    assert load(environ={}, flags=[Flag("--data", "data", "nowhere")]).settings.log.level == "info"


@pytest.mark.capability("D12")
def test_all_errors_are_reported_at_once() -> None:
    config = file("[http]\nprot = 1\nport = 'x'\n[wirter]\nmax_rows = 1\n[store]\nkind = 'oracle'\n")
    found = faults(
        config=config,
        environ={"CLARION_LOG_LEVEL": "loud", "CLARION_HTTP_HOTS": "h"},
        sets=["liveness.heartbeat_timeout=-1", "nonsense"],
    )
    assert found == [
        "--set (flag --set): must be section.key=value, as in http.port=8440",
        "CLARION_HTTP_HOTS (environment): there is no such setting; did you mean CLARION_HTTP_HOST?",
        "http.prot (file c.toml): there is no such setting; did you mean http.port?",
        "wirter (file c.toml): there is no such setting; did you mean writer?",
        "http.port = 'x' (file c.toml): must be a whole number from 0 to 65535",
        "store.kind = 'oracle' (file c.toml): must be one of sqlite, mysql",
        "log.level = 'loud' (environment CLARION_LOG_LEVEL): must be one of debug, info, warning, error",
        "liveness.heartbeat_timeout = '-1' (flag --set): must be a number from 0.1 to 86400",
    ]


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[http]\nport = true", "http.port = True (file c.toml): must be a whole number from 0 to 65535"),
        ("[http]\nport = 8440.5", "http.port = 8440.5 (file c.toml): must be a whole number from 0 to 65535"),
        ("[http]\nport = '8440'", "http.port = '8440' (file c.toml): must be a whole number from 0 to 65535"),
        ("[http]\nport = [1]", "http.port = [1] (file c.toml): must be a whole number from 0 to 65535"),
        ("[http]\nwait_max = nan", "http.wait_max = nan (file c.toml): must be a number from 1 to 600"),
        ("[http]\nwait_max = inf", "http.wait_max = inf (file c.toml): must be a number from 1 to 600"),
        ("data = 5", "data = 5 (file c.toml): must be a path"),
        ("data = ''", "data = '' (file c.toml): must be a path"),
        ('data = "a\\u0000b"', "data = 'a\\x00b' (file c.toml): must be a path"),
        (
            "http = 5",
            "http (file c.toml): is a section, not a value; write [http] on its own line and the keys below it",
        ),
        (
            "[log]\nlevel = 2026-01-01",
            "log.level = datetime.date(2026, 1, 1) (file c.toml): must be one of debug, info, warning, error",
        ),
        (
            "[http",
            "--config (file c.toml): is not TOML: Expected ']' at the end of a table declaration (at end of document)",
        ),
        (
            "[[http]]\nport = 1",
            "http (file c.toml): is a section, not a value; write [http] on its own line and the keys below it",
        ),
        ("port = 1", "port (file c.toml): there is no such setting; did you mean http.port?"),
        (
            "[qqqq.wwww]\nx=1",
            "qqqq (file c.toml): there is no such setting; 'clarion-server config show' lists all settings",
        ),
    ],
)
def test_a_wrong_value_is_reported_with_key_source_value_and_range(toml: str, expected: str) -> None:
    assert faults(config=file(toml)) == [expected]


def test_a_file_that_is_missing_unreadable_binary_huge_or_too_deep_is_one_clear_fault() -> None:
    assert "No such file or directory" in faults(config=Path("gone.toml"))[0]
    assert "Is a directory" in faults(config=Path("."))[0]
    Path("b.toml").write_bytes(b"\xff\xfe")
    assert "is not TOML" in faults(config=Path("b.toml"))[0]
    assert f"larger than {FILE_LIMIT} bytes" in faults(config=file("#" * (FILE_LIMIT + 1)))[0]
    assert "is not TOML" in faults(config=file(f"data = {'[' * 100_000}"))[0]


def test_an_empty_value_is_an_error() -> None:
    assert faults(environ={"CLARION_STORE_HOST": ""}) == [
        'store.host = "" (environment CLARION_STORE_HOST): is empty; must be text of 1 to 255 characters'
    ]


def test_the_word_null_is_an_error() -> None:
    assert faults(sets=["store.path=null"]) == ["store.path = 'null' (flag --set): must be a path"]


def test_variables_of_other_programs_are_ignored() -> None:
    environ = {
        "CLARION_SERVER": "x",
        "CLARION_TOKEN_FILE": "y",
        "CLARION_PORT": "tcp://10.0.0.1:80",
        "CLARION_AGENT_STATE": "z",
        "CLARION_SERVICE_HOST": "h",
    }
    assert load(environ=environ).settings == Settings()


@pytest.mark.capability("D12")
@pytest.mark.parametrize(
    "variable", ["CLARION_HTPP_PORT", "CLARION_LIMITS_FOO", "CLARION_DTAA", "CLARION_STORE_PASSWORD"]
)
def test_a_misspelt_variable_is_an_error(variable: str) -> None:
    assert faults(environ={variable: "1"})[0].startswith(f"{variable} (environment): there is no such setting")


def test_no_error_shows_a_possible_password() -> None:
    config = file("[store]\npassword = 'hunter2'\npasswort_file = 'hunter2'\n")
    found = faults(config=config, environ={"CLARION_STORE_PASSWORD": "hunter2"}, sets=["store.passwd=hunter2"])
    assert len(found) == 4
    assert "hunter2" not in "".join(found)
    assert faults(config=file("[store]\npassword_file = 12345\n")) == [
        "store.password_file (file c.toml): must be a path"
    ]


def test_a_long_value_is_shown_in_part() -> None:
    assert len(faults(sets=[f"http.port={'9' * 5000}"])[0]) < 250


@pytest.mark.parametrize("key", [key for key, row in rows().items() if "from" in row.allowed])
def test_each_number_is_taken_at_its_limits_and_refused_beyond(key: str) -> None:
    words = rows()[key].allowed.split()
    low, high = words[-3], words[-1]
    step = 1 if words[1] == "whole" else 0.001
    for text, inside in ((low, True), (high, True), (_beyond(low, -step), False), (_beyond(high, step), False)):
        try:
            load(environ={}, sets=[f"{key}={text}"])
            refused: list[str] = []
        except SettingsError as error:
            refused = [fault.message for fault in error.faults if fault.key == key]
        assert (f"must be {rows()[key].allowed}" in refused) is not inside, (text, refused)


def _beyond(text: str, step: float) -> str:
    return str(int(text) + int(step)) if isinstance(step, int) else str(float(text) + step)


def test_a_home_directory_may_be_written_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/clarion")
    assert load(environ={}, sets=["data=~/c"]).settings.data == Path("/home/clarion/c")


SCALARS = st.one_of(
    st.integers(), st.floats(), st.text(max_size=20), st.booleans(), st.lists(st.integers(), max_size=2)
)


@given(
    st.dictionaries(st.sampled_from(sorted(rows())), st.text(max_size=20)), st.lists(st.text(max_size=20), max_size=3)
)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_input_gives_settings_or_errors(environment: dict[str, str], sets: list[str]) -> None:
    variables = {rows()[key].variable: text.replace("\0", "") for key, text in environment.items()}
    try:
        loaded = load(None, environ=variables, sets=sets)
    except SettingsError as error:
        assert error.faults
        assert str(error)
    else:
        assert isinstance(loaded, Loaded)
        assert not sets


@pytest.mark.parametrize("text", ["010", "0x10", "1_000", "1e3", "8440.0", " 8440", "+8440", "٨"])
def test_a_whole_number_is_decimal_digits_from_any_source(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ={"CLARION_HTTP_PORT": text})
    assert "must be a whole number from 0 to 65535" in str(caught.value)
