"""The lowest versions that pyproject.toml allows, as constraints for pip.

torch is left out. Its older releases are on the index only as builds that ask for gigabytes of CUDA packages,
so its lower bound cannot be tried here; the pin of constraints.txt holds instead.
"""

import re
from itertools import chain
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())


def lowest_versions() -> dict[str, str]:
    """The lower bound of every direct dependency, extras and the build backend included.

    Raises:
        ValueError: a dependency has no lower bound, or two different ones.
    """
    project = PYPROJECT["project"]
    extras = chain(*project["optional-dependencies"].values())
    versions: dict[str, str] = {}
    for requirement in [*PYPROJECT["build-system"]["requires"], *project["dependencies"], *extras]:
        name = re.match(r"[\w.-]+", requirement)[0]
        bound = re.search(r">=\s*([\w.]+)", requirement)
        if name == project["name"]:  # an extra of our own, such as lphm[train]
            continue
        if bound is None or versions.setdefault(name, bound[1]) != bound[1]:
            raise ValueError(f"{name} must have one lower bound everywhere, got {requirement!r}")
    return versions


if __name__ == "__main__":
    print(*(f"{name}=={version}" for name, version in lowest_versions().items() if name != "torch"), sep="\n")
