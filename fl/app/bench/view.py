"""What `secagg bench` shows on a terminal: a progress bar, a table, and what follows from it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fl.app.bench.bench import STEPS, BenchResult, Figure


@contextmanager
def live() -> Iterator[Callable[[str], None]]:
    """Shows a progress bar on standard error; yields the function to call before every step."""
    columns = (TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=len(STEPS))
        begun = 0

        def begin(title: str) -> None:
            nonlocal begun
            bar.update(task, description=title, completed=begun)
            begun += 1

        yield begin
        bar.update(task, description="done", completed=len(STEPS))


def show(result: BenchResult) -> None:
    """Prints the result."""
    console = Console(emoji=False)
    table = Table("on this machine", "", "of the limit")
    table.columns[1].justify = table.columns[2].justify = "right"
    for figure in result.figures:
        part = "" if figure.part_of_limit is None else f"{figure.part_of_limit:.2f}"
        table.add_row(figure.title, _value(figure), part)
    console.print(table)
    console.print("The limit is AES-128-CTR alone on one thread, timed in turns with the masks.")
    for sentence in result.advice:
        console.print(sentence)
    if not result.right:
        wrong = ", ".join(figure.title for figure in result.figures if not figure.right)
        console.print(f"[bold red]WRONG RESULTS: {wrong}")


def _value(figure: Figure) -> str:
    if not figure.right:
        return "[bold red]WRONG"
    digits = 0 if figure.value >= 100 else 1 if figure.value >= 10 else 2
    return f"{figure.value:.{digits}f} {figure.unit}"
