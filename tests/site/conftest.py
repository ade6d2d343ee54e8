"""The site, built once, also if several workers run the tests."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from support.site import Built, build, copied

LONGEST = 900  # seconds for a build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Built:
    """The site as ``make docs`` builds it, in ``LPHM_SITE`` if it just did.

    Otherwise the first worker that asks for it builds it, and the others wait.
    """
    if ready := os.environ.get("LPHM_SITE"):
        return Built(Path(ready), 0, "")
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        folder = folder.parent  # of all workers of this run
    result = folder / "site.json"
    try:
        (folder / "site").mkdir()
    except FileExistsError:
        built = _waited_for(result)
    else:
        built = build(copied(folder / "site"))
        unready = result.with_suffix(".part")
        unready.write_text(json.dumps(asdict(built) | {"folder": str(built.folder)}))
        unready.replace(result)
    assert built.returncode == 0, built.said
    return built


def _waited_for(result: Path) -> Built:
    end = time.monotonic() + LONGEST
    while not result.exists():
        assert time.monotonic() < end, "the worker that builds the site does not end"
        time.sleep(0.5)
    read = json.loads(result.read_text())
    return Built(Path(read["folder"]), read["returncode"], read["said"])
