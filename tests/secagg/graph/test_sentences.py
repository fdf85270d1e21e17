"""A certificate in words: the numbers of the setting, and written only when somebody reads them."""

import re

import pytest

from secagg.graph import certificate, certify
from secagg.graph.choosing import Assumptions
from secagg.graph.sentences import in_words
from secagg.params import AdversaryModel

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS


@pytest.mark.parametrize("adversary", AdversaryModel)
def test_every_condition_has_a_sentence_with_its_numbers(adversary: AdversaryModel):
    found = certify(1000, neighbours=114, threshold=78, corrupt=0.1, dropout=0.1, adversary=adversary)
    cut, private, alive = (bound.sentence for bound in found.bounds)
    assert "100 corrupt" in cut
    assert f"2t - k = {2 * 78 - 114}" in private if adversary is ACTIVE else "t = 78" in private
    assert "100 vanished of 1000" in alive
    assert f"at least {found.min_survivors} clients" in alive
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in (cut, private, alive))


def test_where_all_are_neighbours_nobody_can_be_cut_off():
    setting = Assumptions(corrupt=0.1, dropout=0.1).setting(20, ACTIVE)
    assert in_words("uncuttable", setting, neighbours=19, threshold=13) == (
        "All 20 clients are each other's neighbours, so nobody can be cut off."
    )


def test_what_decides_for_a_client_writes_no_sentence(monkeypatch: pytest.MonkeyPatch):
    def written(*_: object, **__: object) -> str:
        raise AssertionError("a sentence was written")

    monkeypatch.setattr(certificate, "in_words", written)
    found = certify(990, neighbours=114, threshold=78, corrupt=0.1, dropout=0.1, adversary=CURIOUS)
    assert found.holds in (True, False)
    with pytest.raises(AssertionError, match="a sentence was written"):
        _ = found.bounds[0].sentence
