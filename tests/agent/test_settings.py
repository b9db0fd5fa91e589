"""Settings: the order of sources, and one clear error per wrong field."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import BadSettings, TokenUnreadable
from agent.settings import Settings, address, load, read_token


def test_without_values_the_defaults_apply() -> None:
    assert load(None, {}, {}) == Settings()
    assert Settings().slots == 16 and Settings().server is None and not Settings().insecure_loopback


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('server = "a.example:1"\nslots = 2\nlog_level = "debug"\n[labels]\nrack = "r1"\n')
    found = load(
        config,
        {"CLARION_AGENT_SLOTS": "3", "CLARION_AGENT_SERVER": "b.example:2", "OTHER": "x"},
        {"server": "c.example:3", "slots": None},
    )
    assert found.server == ("c.example", 3) and found.slots == 3
    assert found.log_level == "debug" and found.labels == {"rack": "r1"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("server", "nonsense", "HOST:PORT"),
        ("server", "host:0", "1 to 65535"),
        ("server", "::1:8441", "in brackets"),
        ("insecure_loopback", "yes", "true or false"),
        ("slots", "0", "between 1 and 1024"),
        ("slots", "many", "whole number"),
        ("slots", 2.5, "whole number"),
        ("labels", ("rack",), "KEY=VALUE"),
        ("labels", ("=x",), "printable"),
        ("labels", tuple(f"k{n}=v" for n in range(65)), "at most 64"),
        ("log_level", "loud", "debug, info"),
        ("connect_timeout", "soon", "seconds"),
        ("backoff_max", "0", "between"),
        ("spool_bytes", "1", "between"),
        ("state", "", "path"),
    ],
)
def test_a_wrong_value_is_named_with_the_allowed_values(name: str, value: object, says: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load(None, {}, {name: value})
    assert caught.value.message.startswith(f"{name} (flag): ") and says in caught.value.message


def test_an_unknown_key_gets_a_suggestion_and_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('sever = "x:1"\nslots = true\n')
    with pytest.raises(BadSettings) as caught:
        load(config, {"CLARION_AGENT_SLOTS": "x"}, {})
    text = caught.value.message
    assert "did you mean server?" in text and "slots (" in text and "CLARION_AGENT_SLOTS (environment)" in text


@pytest.mark.parametrize("content", ["slots = ", "\xff"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: str) -> None:
    config = tmp_path / "agent.toml"
    config.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadSettings) as caught:
        load(config, {}, {})
    assert str(config) in caught.value.message


def test_a_backoff_that_starts_above_its_maximum_is_refused() -> None:
    with pytest.raises(BadSettings, match="backoff_base"):
        load(None, {}, {"backoff_base": 10, "backoff_max": 5})


def test_addresses_are_parsed() -> None:
    assert address("[::1]:8441") == ("::1", 8441) and address("h:65535") == ("h", 65535)


def test_a_token_is_one_printable_word(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("jt_1_abc\n")
    assert read_token(file) == "jt_1_abc"
    for bad in ("", "two words", "tab\tbed", "ümlaut"):
        file.write_text(bad)
        with pytest.raises(TokenUnreadable) as caught:
            read_token(file)
        assert str(file) in caught.value.message and "join token" in caught.value.hint
    file.unlink()
    with pytest.raises(TokenUnreadable, match="No such file"):
        read_token(file)
