"""Tokens: their form, their checksum, and that they are never printed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.security.tokens import PATTERN, BadToken, Kind, Token, digest, make, matches, parse


def seeded(seed: bytes):  # type: ignore[no-untyped-def]
    return lambda n: hashlib.shake_256(seed + bytes([n])).digest(n)


TOKENS = st.builds(lambda kind, seed: make(kind, seeded(seed)), st.sampled_from(list(Kind)), st.binary(max_size=8))


@given(TOKENS)
def test_a_token_is_formatted_and_parsed_back(token: Token) -> None:
    prefix, public, secret = token.text.split("_")
    assert (prefix, public, len(public), len(secret)) == (token.kind, token.id, 8, 49)
    assert token.text.isascii()
    assert secret.isalnum()
    assert parse(token.text, token.kind) == token


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_the_smallest_and_the_largest_secret_fit(fill: bytes) -> None:
    token = make(Kind.API, lambda n: fill * n)
    assert len(token.text) == 2 + 1 + 8 + 1 + 49
    assert parse(token.text, Kind.API) == token


def test_a_secret_has_256_bits() -> None:
    def entropy(last: int):  # type: ignore[no-untyped-def]
        return lambda n: bytes(n - 1) + bytes([last]) if n == 32 else bytes(n)

    def high(first: int):  # type: ignore[no-untyped-def]
        return lambda n: bytes([first]) + bytes(n - 1) if n == 32 else bytes(n)

    texts = {make(Kind.API, entropy(value)).text for value in range(256)} | {
        make(Kind.API, high(value)).text for value in range(256)
    }
    assert len(texts) == 511


@given(TOKENS, st.data())
def test_any_single_wrong_character_is_detected(token: Token, data: st.DataObject) -> None:
    place = data.draw(st.integers(3, len(token.text) - 1))
    other = data.draw(st.sampled_from("0Az_!\n").filter(lambda char: char != token.text[place]))
    with pytest.raises(BadToken):
        parse(token.text[:place] + other + token.text[place + 1 :], token.kind)


@given(TOKENS, st.integers(0, 60))
def test_a_truncated_token_is_detected(token: Token, length: int) -> None:
    with pytest.raises(BadToken):
        parse(token.text[:length], token.kind)


@given(st.text())
def test_any_other_text_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        parse(text, Kind.API)
    assert str(caught.value) == "not of the form cl_ID_SECRET"


def test_a_token_of_another_kind_is_refused() -> None:
    with pytest.raises(BadToken, match="another kind: it begins with jt_, not cl_"):
        parse(make(Kind.JOIN, seeded(b"")).text, Kind.API)


def test_printing_a_token_shows_only_its_id() -> None:
    token = make(Kind.API, seeded(b"x"))
    secret = token.text.split("_")[2]
    for shown in (str(token), repr(token), f"{token}", repr([token]), repr({"t": token})):
        assert secret not in shown
        assert token.id in shown


def test_only_the_digest_is_needed_to_check_a_token() -> None:
    token = make(Kind.API, seeded(b"x"))
    assert token.digest == digest(token.text) == hashlib.sha256(token.text.encode()).digest()
    assert matches(token.text, token.digest)
    assert not matches(token.text + "x", token.digest)
    assert not matches("", token.digest)
    assert not matches("\udcff", token.digest)


@given(TOKENS, st.text(max_size=5), st.text(max_size=5))
def test_a_token_is_found_in_any_text_around_it(token: Token, before: str, after: str) -> None:
    assert PATTERN.sub("", before + token.text + after) != before + token.text + after
