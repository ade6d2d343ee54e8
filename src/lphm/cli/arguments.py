"""The arguments that several commands share."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from cyclopts import App, ArgumentCollection, Parameter

from lphm._io import require_writable
from lphm.errors import InputError
from lphm.learn.options import StructureOptions

#: Every field of a dataclass is an option of its own.
Structure = Annotated[StructureOptions | None, Parameter(name="*", group="Structure")]
Sided = Literal["attribute", "instance"]

Source = Annotated[
    str,
    Parameter(
        help="A .csv, .tsv, .txt, .parquet, .npz or .ts file, a directory of .parquet files, or a bundled "
        "data set: digits, iris, wine, breast-cancer or diabetes."
    ),
]
RunFolder = Annotated[Path, Parameter(help="A run folder that 'lphm train' wrote.")]
Output = Annotated[Path, Parameter(alias="-o")]


@Parameter(name="*")
@dataclass(kw_only=True)
class Printing:
    """What a command prints."""

    quiet: bool = False
    """No progress bar, and nothing but errors."""
    json: bool = False
    """Print the result as JSON, and no progress bar, for scripts."""

    @property
    def shows_bars(self) -> bool:
        """Whether somebody watches."""
        return not (self.quiet or self.json)


def require_whole_numbers(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Raise ``InputError`` for a fraction where a whole number is needed; it would be rounded."""
    for argument in arguments:
        for token in argument.tokens:
            if int in (argument.hint, *get_args(argument.hint)) and "." in token.value:
                raise InputError(f"{argument.name} must be a whole number, got {token.value!r}")


def require_exists(*paths: Path) -> None:
    """Raise ``InputError`` unless all of these exist, before the slow import of what reads them."""
    try:
        missing = [path for path in paths if not path.exists()]
    except OSError as error:
        raise InputError(f"{error.filename} must exist, got: {error.strerror}; check the path") from error
    if missing:
        raise InputError(f"{missing[0]} must exist, got no such file or folder; check the path")


def require_run_first(run: Path, file: Path) -> None:
    """Raise ``InputError`` if a file and a run folder were given in the wrong order."""
    if run.is_file() and file.is_dir():
        raise InputError(f"the run comes first, then the data, got {run} and {file}; swap them")


def require_output(path: Path, *inputs: Path | None) -> None:
    """Raise ``InputError`` unless a file can be written to ``path`` that is none of the inputs.

    An input may have several names, by links. No file is written into an input that is a folder.
    """
    require_writable(path)
    for source in inputs:
        if source is None:
            continue
        inside = [*source.iterdir()] if source.is_dir() else []
        if any(same_file(path, file) for file in (source, *inside)) or same_file(path.parent, source):
            got = "the input file itself" if same_file(path, source) else f"one that lies in {source}"
            raise InputError(f"{path} must not be an input, got {got}; choose another output")


def same_file(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file, which need not exist."""
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


@contextmanager
def loading() -> Iterator[None]:
    """Collect no garbage while modules are imported: of all that PyTorch and pandas make, none is garbage.

    The start of a command takes a quarter less. Later collections do not look at these objects either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def when_interrupted(message: Callable[[], str]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM say what was written and how to go on, unless they say so already."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        stopped.args = stopped.args or (message(),)
        raise
