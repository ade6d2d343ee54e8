"""Where a run goes: a new folder, or that of a run that goes on."""

import json
from pathlib import Path
from typing import Any

from lphm._io import write_json
from lphm.errors import InputError

OPTIONS = "options.json"


def run_folder(wanted: Path | None, name: str, options: dict[str, Any], resume: bool) -> Path:
    """The run folder, with the options that repeat the run in it.

    Args:
        wanted: the folder; ``runs/NAME-1``, ``-2``, ... if not given.
        name: of the data.
        options: what the run is repeated by.
        resume: the folder is of a run that was begun with the same options.

    Raises:
        InputError: the folder holds something else, or a run with other options.
    """
    folder = wanted or _next_folder(name)
    options = json.loads(json.dumps(options))  # as they come back from the file
    if resume:
        if wanted is None or not (folder / OPTIONS).is_file():
            raise InputError(f"--resume must come with --output of a run that was begun, got {wanted}")
        begun = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
        other = sorted(key for key in begun | options if begun.get(key) != options.get(key))
        if other:
            raise InputError(
                f"--resume must come with the options of the run, which differ in {', '.join(other)}; "
                f"add --config {folder / OPTIONS}"
            )
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"--output must be a new or empty folder, got {folder}, which holds something; "
            "--resume goes on with a run"
        )
    write_json(folder / OPTIONS, options)
    return folder


def _next_folder(name: str) -> Path:
    base = Path("runs") / Path(name).stem
    number = next(i for i in range(1, 10**6) if not base.with_name(f"{base.name}-{i}").exists())
    return base.with_name(f"{base.name}-{number}")


def read_options(file: Path, known: set[str]) -> dict[str, Any]:
    """The options in a file, all of them ``known``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        options = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--config must be a JSON file of options, got {file}: {error}") from error
    unknown = sorted(set(options) - known) if isinstance(options, dict) else ["no object"]
    if unknown:
        raise InputError(f"--config must hold options of 'lphm train', got {', '.join(unknown)} in {file}")
    return dict(options)
