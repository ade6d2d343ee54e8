"""The run folder of ``train``: where a run goes, how an interrupted one goes on, and one that is repeated."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, ArgumentCollection, Parameter, Token

from lphm._io import read_json, write_json
from lphm.errors import InputError, ReadError, WriteError
from lphm.learn.options import Bounds, Checked
from lphm.learn.unfinished import OPTIONS, continuing

#: Options that are not written to options.json.
NOT_SAVED = {"output", "resume", "timeout", "config", "quiet", "json"}


@Parameter(name="*", group="Run")
@dataclass(kw_only=True)
class RunOptions(Checked):
    """What is done, and where the result goes."""

    output: Annotated[Path | None, Parameter(alias="-o")] = None
    """The run folder, which must be new or empty. Default: runs/NAME-1, -2, ..."""
    folds: Annotated[int, Bounds(at_least=2)] | None = None
    """Cross-validate with so many folds instead; no model is kept."""
    compare: bool = False
    """Cross-validate the network without W, with full, low-rank and lphm, and say whether W helps."""
    resume: bool = False
    """Continue the run in --output after an interruption, with the options that it was begun with; if data
    are given and there is no such run, begin it."""
    config: Path | None = None
    """The options.json of a run, to repeat it; options on the command line go before those in the file."""
    timeout: Annotated[float, Bounds(at_least=1)] = 300.0
    """With several processes: seconds that one waits for the others."""


def chosen_folder(run: RunOptions, name: str) -> Path:
    """Where the run goes: the folder that was named, or a new one for the name of the data."""
    return run.output or next(
        path for i in range(1, 10**6) if not (path := Path("runs") / f"{Path(name).stem}-{i}").exists()
    )


def begin(folder: Path, run: RunOptions, options: dict[str, Any]) -> bool:
    """Write the options that repeat the run, unless it was begun before; whether it was."""
    options = {key: value for key, value in options.items() if value is not None}
    if run.resume and run.output is None:
        raise InputError("--resume must come with --output of the run, got none")
    if run.resume and (folder / OPTIONS).is_file():
        begun = read_json(folder / OPTIONS)
        other = sorted(key for key in begun | options if begun.get(key) != options.get(key))
        if other:
            differ = (
                f"which differ in {', '.join(other)}; leave the data and options out: {continuing(folder)}"
            )
            raise InputError(f"--resume must come with the options of the run, {differ}")
        return True
    inside = list(folder.iterdir()) if folder.is_dir() else []
    # The temporary file of a run that was killed while it wrote its first file.
    first = f".{Path(OPTIONS).stem}-"
    if any(not path.name.startswith(first) for path in inside) or (folder.exists() and not folder.is_dir()):
        message = f"--output must be a new or empty folder, got {folder}, which holds something"
        raise InputError(message if run.resume else f"{message}; --resume continues a run")
    for path in inside:
        path.unlink()
    write_json(folder / OPTIONS, options)
    return False


def going_on(folder: Path | None) -> str:
    """What an interruption says of the run, which can go on as soon as its folder holds its options."""
    if folder is None or not (folder / OPTIONS).is_file():
        return "nothing was written"
    return f"{continuing(folder)} continues the run"


@contextmanager
def discarded_if_refused(folder: Path, resumed: bool) -> Iterator[None]:
    """Delete the folder of a new run after an ``InputError``, unless the disk is at fault."""
    try:
        yield
    except (ReadError, WriteError) as error:
        message = f"{error}; what is done so far is kept, and the run can be resumed"
        raise type(error)(message, option="resume") from error
    except InputError:
        if not resumed:
            shutil.rmtree(folder, ignore_errors=True)  # another process may have begun to
            if folder.parent == Path("runs"):
                with suppress(OSError):
                    folder.parent.rmdir()  # if it is empty
        raise


def use_config(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Take what the command line leaves open from the file that ``--config`` names.

    ``--resume`` without data takes it from the run that it continues.
    """
    named = {argument.field_info.name: argument for argument in arguments if not argument.children}
    if named["config"].tokens:
        file = Path(named["config"].tokens[0].value)
    elif named["resume"].tokens and named["output"].tokens and not named["source"].tokens:
        folder = Path(named["output"].tokens[0].value)
        file = folder / OPTIONS
        if not file.is_file():
            raise InputError(f"{folder} holds no run to continue; name the data to begin one")
    else:
        return
    options = read_json(file)
    if unknown := sorted(options.keys() - (named.keys() - NOT_SAVED)):
        raise InputError(f"--config must hold options of 'lphm train', got {', '.join(unknown)} in {file}")
    for name, value in options.items():
        if not named[name].tokens:
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                named[name].append(Token(value=str(item), source=str(file), index=index))
