"""What the demo shows on a terminal: a live progress bar, then tables."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl.demo import DemoReport, DemoSettings, RoundReport, stage_counts

_BLOCKS = "▁▂▃▄▅▆▇█"


@contextmanager
def live(settings: DemoSettings) -> Iterator[Callable[[RoundReport], None]]:
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

        def advance(one: RoundReport) -> None:
            news = (
                f"lost at {one.lost_at}: too few clients"
                if one.exact is None
                else f"{one.survivors} survivors, secure accuracy {one.accuracy_secure:.3f}"
            )
            bar.update(task, advance=1, news=news)

        yield advance


def show(report: DemoReport) -> None:
    """Prints the outcome."""
    console = Console()
    settings = report.settings
    released = [one for one in report.rounds if one.exact is not None]
    console.print(
        f"\n[bold]{settings.clients} clients, threshold {report.threshold}, {settings.adversary.name}, "
        f"d = {report.vector_length}, modulus 2^{settings.modulus_bits}, dropout {settings.dropout:g}[/bold]"
    )
    table = Table("accuracy on the test set", "last round", "by round")
    for name in ("central", "plain", "secure"):
        values = [float(getattr(one, f"accuracy_{name}")) for one in report.rounds]
        label = {"central": "central", "plain": "FedAvg, plain", "secure": "FedAvg, secure"}[name]
        table.add_row(label, f"{values[-1]:.3f}", _sparkline(values))
    console.print(table)
    if released:
        console.print(_stages(report))
        console.print(_costs(report, released))
    verdict = (
        f"[bold green]every one of {len(released)} released sums was bit-exact to the plain sum over its survivors"
        if report.exact
        else "[bold red]NO SUM WAS RELEASED"
        if not released
        else "[bold red]A RELEASED SUM WAS NOT EXACT"
    )
    console.print(verdict)
    if report.lost_rounds:
        console.print(
            f"{report.lost_rounds} of {settings.rounds} rounds were lost: fewer than {report.threshold + 1} clients "
            "were left. Lower --dropout or invite more --clients."
        )


def _stages(report: DemoReport) -> Table:
    table = Table("clients that answered", "mean", "fewest")
    for stage, (mean, fewest) in stage_counts(report).items():
        table.add_row(stage, f"{mean:.1f}", str(fewest))
    return table


def _costs(report: DemoReport, released: list[RoundReport]) -> Table:
    plain = 4 * report.vector_length
    up = sum(one.bytes_up for one in released) / len(released)
    down = sum(one.bytes_down for one in released) / len(released)
    table = Table("cost of a round", "")
    table.add_row("bytes up per client", f"{up:,.0f} = {up / plain:.2f} x 4d")
    table.add_row("bytes down per client, model aside", f"{down:,.0f} = {down / plain:.2f} x 4d")
    table.add_row("seconds in protocol, everyone", _mean_s([one.protocol_s for one in report.rounds]))
    table.add_row("seconds in training, everyone", _mean_s([one.training_s for one in report.rounds]))
    return table


def _mean_s(seconds: list[float]) -> str:
    return f"{sum(seconds) / len(seconds):.2f}  (total {sum(seconds):.1f})"


def _sparkline(values: list[float]) -> str:
    return "".join(_BLOCKS[min(int(value * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)
