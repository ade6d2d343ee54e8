"""Files written whole or not at all, and JSON read with one kind of error."""

import glob
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lphm.errors import InputError, WriteError

if sys.platform != "win32":
    import fcntl

#: Characters of the name of a file that are in that of its temporary, which must not be too long either.
MOST_STEM = 40


def environment_number(name: str, default: int) -> int:
    """The number in an environment variable, or the default where it is absent or empty."""
    value = os.environ.get(name) or default
    try:
        return int(value)
    except ValueError as error:
        raise InputError(f"the environment variable {name} must be a whole number, got {value!r}") from error


def require_writable(path: Path) -> None:
    """Raise ``InputError`` unless a file can be written to ``path``, in a folder that may be missing so far.

    A device, a pipe or a folder cannot take a file that is written whole or not at all.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{path} must be a file to write to, got a folder or a device; choose another")
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise _unwritable(path, error) from error
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} must be a file that can be written, got {folder}, which cannot be changed")


def _unwritable(path: Path, error: Exception) -> WriteError:
    reason = getattr(error, "strerror", None) or error
    return WriteError(f"{path} must be a file that can be written, got: {reason}")


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes its place when all went well.

    What a killed process has left of the same file is deleted.

    Raises:
        WriteError: the file cannot be written.
    """
    require_writable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path) as temporary:
            yield temporary
            umask = os.umask(0)  # there is no other way to read it
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, locked as long as it is written, and deleted if it does not take its place.

    A file that is not locked was left by a process that was killed. Windows has no such locks.
    """
    prefix, suffix = f".{path.stem[:MOST_STEM]}-lphm-", path.suffix
    for left in path.parent.glob(f"{glob.escape(prefix)}????????{glob.escape(suffix)}"):
        with suppress(OSError), left.open("rb") as file:
            if _lock(file.fileno(), wait=False):
                left.unlink()
    temporary, handle, locked = None, -1, False
    try:  # from here on: a signal may come as soon as the file is there
        while True:
            handle, name = tempfile.mkstemp(suffix, prefix, path.parent)
            temporary = Path(name)
            locked = _lock(handle, wait=True)
            if temporary.exists():
                break
            os.close(handle)  # before it was locked, another process took it for one that was left
            locked = False
        if not locked:
            os.close(handle)
        yield temporary
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if locked:
            os.close(handle)


def _lock(handle: int, wait: bool) -> bool:
    """Whether the file was locked, which holds until it is closed."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            return True
    return False


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with write_atomically(path) as temporary:
        # What UTF-8 cannot encode are the bytes of file names that are no text: as JSON escapes them, too.
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        InputError: the file is missing, cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} must be a readable file, got: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} must be a JSON file, got: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content
