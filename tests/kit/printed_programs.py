"""Runs the programs of a page as printed, one after the other, and compares what they print."""

import contextlib
import io
import re
from pathlib import Path

BLOCK = re.compile(r"```python\n(?P<code>.*?)```\n```text\n(?P<output>.*?)```", re.DOTALL)


def check_programs(page: Path, folder: Path, at_least: int) -> None:
    """Runs every program of the page in `folder`, where it may write. Each must be followed by what it prints."""
    text = page.read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python")
    assert len(blocks) >= at_least
    names: dict[str, object] = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(folder):
            exec(compile(block["code"], str(page), "exec"), names)  # noqa: S102 - the page is ours
        assert printed.getvalue() == block["output"], block["code"]
