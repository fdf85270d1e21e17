"""What the demo shows on a terminal: a live progress bar, then tables."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl.app.demo.private_run import LEDGER
from fl.app.demo.result import DemoResult, DemoRound, PrivateResult, stage_counts
from fl.app.demo.sentences import private_sentences, secure_sentences
from fl.app.demo.settings import DemoSettings

_BLOCKS = "▁▂▃▄▅▆▇█"


@contextmanager
def live(settings: DemoSettings) -> Iterator[Callable[[DemoRound], None]]:
    """Shows a progress bar; yields the function to call after every round."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[news]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("federated rounds", total=settings.rounds, news="")

        def advance(one: DemoRound) -> None:
            news = (
                f"lost at {one.lost_at}: too few clients"
                if one.exact is None
                else f"{one.survivors} survivors, secure accuracy {one.accuracy_secure:.3f}"
            )
            if one.private is not None:
                news += (
                    f", private {one.private.accuracy:.3f}" if one.private.lost_at is None else ", private round lost"
                )
            bar.update(task, advance=1, news=news)

        yield advance


def show(result: DemoResult, ledger_folder: Path | None = None) -> None:
    """Prints the result.

    Args:
        result: of the demo.
        ledger_folder: where the private run's ledger was kept, if it was.
    """
    console = Console(emoji=False)
    settings = result.settings
    released = [one for one in result.rounds if one.exact is not None]
    console.print(
        f"\n[bold]{settings.clients} clients, threshold {result.threshold}, {settings.adversary.name}, "
        f"d = {result.vector_length}, modulus 2^{settings.modulus_bits}, dropout {settings.dropout:g}[/bold]"
    )
    console.print(_accuracies(result))
    if released:
        console.print(_stages(result))
        console.print(_costs(result, released))
    style = "[bold green]" if result.exact else "[bold red]"
    for sentence in secure_sentences(result):
        console.print(f"{style}{sentence}", soft_wrap=True)
    if result.lost_rounds:
        console.print("Lower --dropout or invite more --clients.")
    if result.private is not None:
        _show_private(console, result, result.private, ledger_folder)


def _accuracies(result: DemoResult) -> Table:
    rounds = result.rounds
    rows = {
        "central": [one.accuracy_central for one in rounds],
        "FedAvg, plain": [one.accuracy_plain for one in rounds],
        "FedAvg, secure": [one.accuracy_secure for one in rounds],
    }
    if result.private is not None:
        budget = f"epsilon {result.settings.epsilon:g}"
        rows[f"private, {budget}"] = [one.accuracy for one in result.private_rounds]
        rows[f"trusted server, {budget}"] = [one.accuracy_trusted for one in result.private_rounds]
    table = Table("accuracy on the test set", "last round", "by round")
    for label, values in rows.items():
        table.add_row(label, f"{values[-1]:.3f}", _sparkline(values))
    return table


def _show_private(console: Console, result: DemoResult, private: PrivateResult, folder: Path | None) -> None:
    style = "" if private.sound else "[bold red]"
    for sentence in private_sentences(result):
        console.print(f"{style}{sentence}", soft_wrap=True)
    if folder is None:
        console.print("The ledger was temporary; --ledger FOLDER keeps it, for an audit of your own.")
        return
    head = "" if private.anchor is None else f" --expect-head {private.anchor.hex()}"
    path = shlex.quote(str(folder / LEDGER))
    console.print(escape(f"secagg audit {path}{head}"), soft_wrap=True, highlight=False)


def _stages(result: DemoResult) -> Table:
    table = Table("clients that answered", "mean", "fewest")
    for stage, (mean, fewest) in stage_counts(result).items():
        table.add_row(stage, f"{mean:.1f}", str(fewest))
    return table


def _costs(result: DemoResult, released: list[DemoRound]) -> Table:
    plain = 4 * result.vector_length
    up = sum(one.bytes_up for one in released) / len(released)
    down = sum(one.bytes_down for one in released) / len(released)
    table = Table("cost of a round", "")
    table.add_row("bytes up per client", f"{up:,.0f} = {up / plain:.2f} x 4d")
    table.add_row("bytes down per client, model aside", f"{down:,.0f} = {down / plain:.2f} x 4d")
    private = [one for one in result.private_rounds if one.lost_at is None]
    if private:
        for name in ("up", "down"):
            mean = sum(float(getattr(one, f"bytes_{name}")) for one in private) / len(private)
            table.add_row(f"bytes {name} per client, private run", f"{mean:,.0f} = {mean / plain:.2f} x 4d")
    table.add_row("seconds in protocol, everyone", _mean_s([one.protocol_s for one in result.rounds]))
    if result.private_rounds:
        table.add_row("seconds of the private run", _mean_s([one.protocol_s for one in result.private_rounds]))
    table.add_row("seconds in training, everyone", _mean_s([one.training_s for one in result.rounds]))
    return table


def _mean_s(seconds: list[float]) -> str:
    return f"{sum(seconds) / len(seconds):.2f}  (total {sum(seconds):.1f})"


def _sparkline(values: list[float]) -> str:
    return "".join(_BLOCKS[min(int(value * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)
