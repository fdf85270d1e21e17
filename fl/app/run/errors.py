"""What a run refuses before it changes anything."""

from pathlib import Path

from secagg import LocalError

__all__ = ["RunRefusedError"]


class RunRefusedError(LocalError):
    """A folder or a key file is not what the command needs; nothing was changed. Fields: `path`, `reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"
