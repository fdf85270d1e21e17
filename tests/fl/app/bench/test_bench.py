"""The measurements: every result is checked, and advice follows from the figures."""

import subprocess
from dataclasses import replace

import pytest

import fl.app.bench.bench
from fl.app.bench.bench import QUICK, BenchResult, Effort, advise, run_bench
from tests.kit.bench_scene import FIGURES, only


def test_masks_that_are_wrong_are_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fl.app.bench.bench, "apply_masks", lambda *_, **__: None)
    figures = {one.name: one.right for one in fl.app.bench.bench._masks(replace(QUICK, figure_s=0.0))}
    assert figures["mask_one_thread"] is False
    assert figures["mask_chacha20"] is False


def test_a_sum_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch):
    simulate = fl.app.bench.bench.simulate

    def falsified(*arguments, **options):
        result = simulate(*arguments, **options)
        return replace(result, sum=result.sum + 1)

    monkeypatch.setattr(fl.app.bench.bench, "simulate", falsified)
    small = replace(QUICK, clients=5, length=10, figure_s=0.0)
    assert [one.right for one in fl.app.bench.bench._sessions(small)] == [False, False]


def test_progress_names_every_step(monkeypatch: pytest.MonkeyPatch):
    only(monkeypatch, right=True)
    titles: list[str] = []
    report = run_bench(QUICK, titles.append)
    assert titles == ["one step"]
    assert isinstance(report, BenchResult)
    assert report.right


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "Stay with the default suite"),
        ({}, "Threads pay: two are 1.7 times one"),
        ({"mask_chacha20": 8.0}, "Use suite=Suite.CHACHA20"),
        ({"thread_gain": 1.1}, "Threads do not pay here"),
        ({"free_part": 0.5}, "Other programs took 50%"),
    ],
)
def test_advice_follows_from_the_figures(changed: dict, sentence: str):
    assert any(sentence in one for one in advise(FIGURES | changed))


@pytest.fixture
def openssl(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the program prints, or raises if it is no text."""
    says: list = []

    def answer(command, **_):
        if isinstance(says[0], str):
            return subprocess.CompletedProcess(command, 0, stdout=says[0])
        raise says[0]

    monkeypatch.setattr(fl.app.bench.bench.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(fl.app.bench.bench.subprocess, "run", answer)
    return says


@pytest.mark.parametrize(
    ("says", "gigabytes"),
    [
        ("The 'numbers' are in 1000s of bytes per second processed.\nAES-128-CTR    9500000.00k\n", 9.5),
        ("aes-128-ctr  4000000.5k", 4.0),
        ("speed: Unknown algorithm", None),
        (subprocess.TimeoutExpired("openssl", 30), None),
        (PermissionError("no"), None),
    ],
)
def test_openssl_speed_is_read_or_left_out(openssl: list, says: object, gigabytes: float | None):
    openssl.append(says)
    found = fl.app.bench.bench._openssl_gigabytes()
    assert found is None if gigabytes is None else found == pytest.approx(gigabytes, rel=1e-3)


def test_openssl_is_asked_only_where_it_is(openssl: list, monkeypatch: pytest.MonkeyPatch):
    openssl.append("AES-128-CTR 1000000.00k")
    figures = {one.name: one.value for one in fl.app.bench.bench._masks(Effort(figure_s=0.0))}
    assert figures["openssl_speed"] == pytest.approx(1.0)
    monkeypatch.setattr(fl.app.bench.bench.shutil, "which", lambda _: None)
    assert "openssl_speed" not in {one.name for one in fl.app.bench.bench._masks(Effort(figure_s=0.0))}


def test_a_signature_that_holds_for_anything_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fl.app.bench.bench, "verify", lambda *_, **__: None)
    figures = {one.name: one.right for one in fl.app.bench.bench._keys(replace(QUICK, figure_s=0.0))}
    assert figures == {"x25519": True, "hkdf": True, "ed25519_verify": False}
