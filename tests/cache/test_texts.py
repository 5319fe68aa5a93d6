"""Texts behave as a tuple of strings and keep their bytes alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from vpar_cache.cache.texts import Texts

WORDS = ("0001C1T0001", "", "schön", "前")
DIGESTS = ("00" * 32, "0123456789abcdef" * 4, "ab" * 31 + "00")


def of_words() -> Texts:
    return Texts(np.array([word.encode() for word in WORDS]))


@pytest.mark.parametrize(("texts", "wanted"), [(of_words(), WORDS), (Texts.of_digests(DIGESTS), DIGESTS)])
def test_texts_are_read_as_a_tuple_is(texts: Texts, wanted: tuple[str, ...]) -> None:
    assert texts == wanted
    assert (len(texts), tuple(texts), texts[-1], texts.index(wanted[1])) == (len(wanted), wanted, wanted[-1], 1)
    assert isinstance(texts[1:], Texts)
    assert texts[1:] == wanted[1:]
    assert texts != wanted[1:]
    assert wanted[2] in texts
    with pytest.raises(IndexError):
        texts[len(wanted)]


def test_texts_travel_between_processes() -> None:
    assert pickle.loads(pickle.dumps(Texts.of_digests(DIGESTS))) == DIGESTS  # noqa: S301


def test_a_digest_takes_32_bytes() -> None:
    assert Texts.of_digests(DIGESTS).values.nbytes == 32 * len(DIGESTS)
