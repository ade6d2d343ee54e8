"""Files are written whole or not at all, and JSON is read with one kind of error."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lphm._io import read_json, require_writable, write_atomically, write_json
from lphm.errors import InputError
from support import forked
from support.children import write_until_killed


def test_write_atomically_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")

    def fail() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomically_renames(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        written = temporary.stat().st_ino
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_ino == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "must be a readable file, got: No such file"),
        (b"{", "must be a JSON file, got: "),
        (b"\xff\xfe", "must be a JSON file, got: "),
        (b"[1]", "must hold a JSON object, got list"),
        (b"[" * 100_000, "must be a JSON file, got: maximum recursion depth"),
    ],
)
def test_a_damaged_json_file_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "options.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_json(path)
    assert "options.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_json_comes_back_as_it_was_written(tmp_path: Path) -> None:
    content = {"name": "größe", "values": [1, 2.5, None, True]}
    write_json(tmp_path / "new" / "file.json", content)
    assert read_json(tmp_path / "new" / "file.json") == content


def test_the_bytes_of_a_file_name_that_are_no_text_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"gr\xfc\xdfe.csv")
    write_json(tmp_path / "file.json", {"source": name})
    assert read_json(tmp_path / "file.json") == {"source": name}


# Temporary files.


def test_what_a_killed_process_left_is_deleted_by_the_next_write(tmp_path: Path) -> None:
    path, other = tmp_path / "f.txt", tmp_path / "other.txt"
    assert forked.start(write_until_killed, other, path, cwd=tmp_path).wait().returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    with write_atomically(path) as temporary:
        temporary.write_text("new")
    names = {file.name for file in tmp_path.iterdir()} - {"f.txt"}
    assert len(names) == 1
    assert names.pop().startswith(".other-lphm-")  # it is deleted when other.txt is written


def test_what_another_writer_of_the_same_file_is_writing_stays(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    with write_atomically(path) as slow:
        slow.write_text("slow")
        with write_atomically(path) as fast:
            fast.write_text("fast")
        assert path.read_text() == "fast"
    assert path.read_text() == "slow"
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_others_stay(tmp_path: Path) -> None:
    names = {".f-original.txt", ".f-lphm-notes.txt", "f-lphm-12345678.txt", ".f-lphm-12345678.csv"}
    for name in names:
        (tmp_path / name).touch()
    write_json(tmp_path / "f.txt", {})
    assert {file.name for file in tmp_path.iterdir()} == names | {"f.txt"}


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 250 + ".json")
    write_json(path, {})
    assert read_json(path) == {}


# Places that cannot be written to.


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may be larger than 1000 bytes, which fails as a full disk does."""
    limit, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    signal.signal(signal.SIGXFSZ, action)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, small_disk: None) -> None:
    path = tmp_path / "f.json"
    path.write_text("old")
    with pytest.raises(InputError, match="must be a file that can be written, got: File too large"):
        write_json(path, {"long": "x" * 2000})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "folder must be a file to write to, got a folder or a device"),
        ("/dev/null", "/dev/null must be a file to write to, got a folder or a device"),
        ("/dev/full", "/dev/full must be a file to write to, got a folder or a device"),
        ("file/f.txt", "f.txt must be a file that can be written, got: Not a directory"),
        ("file/new/f.txt", "f.txt must be a file that can be written, got: Not a directory"),
        ("a" * 300, "a must be a file that can be written, got: File name too long"),
        ("a" * 300 + "/f.txt", "f.txt must be a file that can be written, got: File name too long"),
        (
            "a\0b",
            "must be a file that can be written, got: .*embedded null (byte|character)",
        ),  # as of Python 3.13
        ("loop", "loop must be a file that can be written, got: Too many levels of symbolic links"),
    ],
)
def test_a_place_that_cannot_take_a_file_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    before = sorted(tmp_path.rglob("*"))
    for write in (require_writable, lambda path: write_json(path, {})):
        with pytest.raises(InputError, match=message) as caught:
            write(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_changed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)  # root may write everywhere
    with pytest.raises(InputError, match=f"got {tmp_path}, which cannot be changed"):
        write_json(tmp_path / "new" / "f.json", {})
    assert not list(tmp_path.iterdir())
