"""Choosing and certifying a graph, in settings where the search is long or the distributions are wide."""

import pytest

from secagg import AdversaryModel, certify, choose
from secagg.graph import choosing

ACTIVE, CURIOUS = AdversaryModel.ACTIVE, AdversaryModel.HONEST_BUT_CURIOUS

SETTINGS = [
    ((1000, 0.1, 0.1, CURIOUS), (52, 28)),
    ((1000, 0.1, 0.1, ACTIVE), (152, 110)),
    ((10**4, 0.3, 0.3, ACTIVE), (6130, 4128)),
    ((10**5, 0.33, 0.3, ACTIVE), (26640, 18156)),
    ((10**6, 0.1, 0.1, CURIOUS), (70, 37)),
    ((10**6, 0.1, 0.1, ACTIVE), (248, 179)),
    ((10**6, 0.3, 0.3, ACTIVE), (18400, 12387)),
    ((10**6, 0.5, 0.49, CURIOUS), (413576, 208967)),
    ((10**6, 0.01, 0.49, ACTIVE), (464258, 234790)),
    ((2**20, 0.32, 0.33, ACTIVE), (329664, 219095)),
    ((2**20, 0.97804, 0.00998, ACTIVE), (790976, 782739)),
    ((2**20, 0.333, 0.333, ACTIVE), (1042684, 695187)),
]

each_setting = pytest.mark.parametrize(("setting", "expected"), SETTINGS, ids=str)


def forget():
    choosing._certify.cache_clear()


def assumed(setting):
    return dict(zip(("corrupt", "dropout", "adversary"), setting[1:], strict=True))


@each_setting
def test_choose(benchmark, setting, expected):
    """Nothing is kept from one choice to the next."""
    chosen = benchmark(choose, setting[0], **assumed(setting))
    assert chosen.holds
    assert (chosen.neighbours, chosen.threshold) == expected


@pytest.mark.parametrize("setting", [setting for setting, _ in SETTINGS], ids=str)
def test_certify_for_the_first_time(benchmark, setting):
    chosen = choose(setting[0], **assumed(setting))
    offer = {"neighbours": chosen.neighbours, "threshold": chosen.threshold, **assumed(setting)}
    assert benchmark.pedantic(certify, (setting[0],), offer, setup=forget, rounds=20) == chosen


def test_certify_again(benchmark):
    offer = {"neighbours": 210, "threshold": 152, "corrupt": 0.1, "dropout": 0.1, "adversary": ACTIVE}
    first = certify(10**4, **offer)
    assert benchmark(certify, 10**4, **offer) is first
