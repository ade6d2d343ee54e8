"""A compiled operator is loaded only if nobody else can have written it, and looking for one never fails."""

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils import cpp_extension

from lphm.ops import cpp
from lphm.ops.cpp import __main__ as command
from support import children, forked

CONTENT = b"a library"
root_only = pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can give files away and become others"
)
pytestmark = pytest.mark.skipif(os.name != "posix", reason="files have no owner and no mode")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_choices: None) -> Iterator[Path]:
    """A file with the name and the content of a library. It is not loaded, but stands for its operator."""
    above = tmp_path / "above"
    for folder in (above, above / "cache"):
        folder.mkdir(mode=0o755)
    library = above / "cache" / cpp.library_name(hashlib.sha256(CONTENT).hexdigest())
    library.write_bytes(CONTENT)
    library.chmod(0o755)
    operators = SimpleNamespace()
    monkeypatch.setattr(torch.ops, "lphm", operators)
    monkeypatch.setattr(
        torch.ops,
        "load_library",
        lambda path: setattr(operators, "apply_to_itself", SimpleNamespace(default=path)),
    )
    monkeypatch.setenv("LPHM_CACHE", str(library.parent))
    monkeypatch.setenv("LPHM_NATIVE", "1")
    return library


def looked_for() -> tuple[object, list[str]]:
    """What is loaded, and every warning of looking twice."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = cpp.operator()
        assert cpp.operator() is loaded
    return loaded, [str(warning.message) for warning in caught]


def replaced_by_a_link(library: Path) -> None:
    elsewhere = library.parents[1] / "elsewhere"
    library.rename(elsewhere)
    library.symlink_to(elsewhere)


def renamed(library: Path) -> None:
    library.rename(library.with_name(cpp.library_name("0" * 64)))


EXPOSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "file of a group": (lambda f: f.chmod(0o775), "can be written by others"),
    "file of everyone": (lambda f: f.chmod(0o757), "can be written by others"),
    "folder of a group": (lambda f: f.parent.chmod(0o775), "cache can be written by others"),
    "folder of everyone": (lambda f: f.parent.chmod(0o777), "cache can be written by others"),
    "folder like /tmp": (lambda f: f.parent.chmod(0o1777), "cache can be written by others"),
    "folder above": (lambda f: f.parents[1].chmod(0o777), "above can be written by others"),
    "link": (replaced_by_a_link, "can be written by others"),
    "other content": (lambda f: f.write_bytes(b"another"), "its content is not what was built"),
    "cut off": (lambda f: f.write_bytes(CONTENT[:4]), "its content is not what was built"),
    "other name": (renamed, "its content is not what was built"),
    "folder in its place": (lambda f: (f.unlink(), f.mkdir(0o755)), "directory"),
}


def test_what_this_user_built_is_loaded(library: Path) -> None:
    assert looked_for() == (library, [])


@pytest.mark.parametrize("case", EXPOSED)
def test_what_others_can_write_or_what_was_changed_is_left_alone_with_one_warning(
    library: Path, case: str
) -> None:
    expose, message = EXPOSED[case]
    expose(library)
    loaded, (warning,) = looked_for()
    assert loaded is None
    assert message in warning
    assert "delete it, and run python -m lphm.ops.cpp" in warning


def test_a_library_of_something_else_is_one_warning(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "load_library", lambda _: None)
    loaded, (warning,) = looked_for()
    assert loaded is None
    assert "it holds another operator" in warning


@root_only
@pytest.mark.parametrize("place", ["file", "cache", "above"])
def test_what_belongs_to_another_user_is_left_alone(
    library: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    path = {"file": library, "cache": library.parent, "above": library.parents[1]}[place]
    for owner in (0, 4321):
        os.chown(path, owner, owner)
        assert looked_for() == (library, [])
        cpp.operator.cache_clear()
        del torch.ops.lphm.apply_to_itself
    os.chown(path, 1234, 4321)
    loaded, (warning,) = looked_for()
    assert loaded is None
    assert f"{path} belongs to another user" in warning


def test_a_folder_like_tmp_may_lie_above(library: Path) -> None:
    library.parents[1].chmod(0o1777)
    assert looked_for() == (library, [])


HOMES = {
    "none": {"HOME": None},
    "of another user": {"HOME": "/root"},
    "the root": {"HOME": "/"},
    "a file": {"HOME": __file__},
    "no folder": {"HOME": "/nowhere"},
    "cache of another user": {"LPHM_CACHE": "/root/x"},
    "cache in a file": {"LPHM_CACHE": f"{__file__}/cache"},
    "cache that links to itself": {"LPHM_CACHE": "loop"},
}


@root_only
@pytest.mark.parametrize("home", HOMES)
def test_the_layer_works_whatever_the_home_of_a_user_without_an_entry(tmp_path: Path, home: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    tmp_path.chmod(0o755)
    variables = {"XDG_CACHE_HOME": "", "LPHM_CACHE": "", "LPHM_NATIVE": "1", **HOMES[home]}
    without = [name for name, value in variables.items() if value is None]
    given = {name: value for name, value in variables.items() if value is not None}
    child = forked.start(children.layer_of_another_user, 12345, without, cwd=tmp_path, **given)
    ended = child.wait()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "256 64\n", "")


def test_without_a_home_there_is_no_operator(
    library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("LPHM_CACHE", "")
    assert looked_for() == (None, [])


# The command that builds it; the compiler is replaced by one that writes a few bytes.


@pytest.fixture
def builds(library: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders in which something was compiled."""
    folders: list[Path] = []

    def compile_quickly(name: str, build_directory: str, **_: object) -> None:
        folders.append(Path(build_directory))
        (folders[-1] / f"{name}{cpp_extension.LIB_EXT}").write_bytes(CONTENT)

    monkeypatch.setattr(cpp_extension, "load", compile_quickly)
    monkeypatch.setattr(cpp_extension, "is_ninja_available", lambda: True)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    return folders


def test_what_was_built_is_not_built_again(library: Path, builds: list[Path]) -> None:
    assert command.build() == library
    assert not builds


@pytest.mark.parametrize("case", ["file of everyone", "link", "other content", "cut off", "other name"])
def test_a_library_that_is_refused_is_replaced(library: Path, builds: list[Path], case: str) -> None:
    EXPOSED[case][0](library)
    assert command.build() == library
    assert len(builds) == 1
    assert list(library.parent.iterdir()) == [library]
    assert looked_for() == (library, [])


def test_nothing_is_built_where_others_can_write(library: Path, builds: list[Path]) -> None:
    library.parent.chmod(0o777)
    with pytest.raises(RuntimeError, match=r"must be where only this user can write, got .*; mend that"):
        command.build()
    assert not builds


def test_a_folder_made_for_it_is_not_open_to_others(library: Path, builds: list[Path]) -> None:
    shutil.rmtree(library.parent)
    before = os.umask(0)
    try:
        command.build()
    finally:
        os.umask(before)
    assert looked_for() == (library, [])
