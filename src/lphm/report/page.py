"""The page: the contents of a run folder, rendered by the templates."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from lphm._io import write_atomically
from lphm.errors import EDITED, InputError
from lphm.report.content import content
from lphm.report.numbers import breakable, exact, percent, plain, spread_out
from lphm.report.sources import read_sources


def write_report(folder: Path, destination: Path | None = None) -> Path:
    """Write a run as one self-contained HTML page.

    The page depends on the run folder alone. Only ``config.json`` and ``weights.safetensors`` are required;
    where another file is missing, the page says which part it therefore does not show.

    Args:
        folder: a run folder.
        destination: the file to write; ``report.html`` in the folder if not given.

    Returns:
        the file that was written.

    Raises:
        InputError: a file of the folder is damaged or does not match the other files.
    """
    folder = Path(folder)
    destination = folder / "report.html" if destination is None else Path(destination)
    sources = read_sources(folder)
    environment = Environment(
        loader=PackageLoader("lphm.report"),
        autoescape=True,  # names come from users' files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        plain=plain, exact=exact, spread_out=spread_out, percent=percent, breakable=breakable
    )
    try:
        page = environment.get_template("page.html").render(content(sources))
    except (UndefinedError, *EDITED) as error:
        raise InputError(
            f"the JSON files in {folder} must be as training wrote them, "
            f"got {type(error).__name__}: {error}; train the run again"
        ) from error
    with write_atomically(destination) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return destination
