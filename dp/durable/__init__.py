"""Files that survive crashes: what was acknowledged is on the disk, and what was not is known to be in doubt.

* `FileLock`: one process at a time. The lock goes with the process that took it.
* `AppendFile`: lines are appended one at a time, and each is synced. What a crash left of a line is moved aside.
* `replace_file`, `create_file`, `write_from`: a file as a whole, a file that must be new, and a known tail of a file.
* `sync_folder`: the names of a folder's files.
* `Turns`: calls of one object take turns, in the process that made it.
* `check_lockable`: refuses a system without locks.

This room knows nothing of what the files say. It needs neither numpy nor scipy.
"""

from dp.durable.appending import AppendFile, TornTail
from dp.durable.locks import FileLock, check_lockable, lock_exclusively
from dp.durable.turns import Turns
from dp.durable.whole_files import create_file, replace_file, sync_folder, write_from

__all__ = [
    "AppendFile",
    "FileLock",
    "TornTail",
    "Turns",
    "check_lockable",
    "create_file",
    "lock_exclusively",
    "replace_file",
    "sync_folder",
    "write_from",
]
