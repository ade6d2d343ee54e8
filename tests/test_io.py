"""Files are written whole or not at all, and JSON is read with one kind of error."""

from pathlib import Path

import pytest

from lphm._io import read_json, write_atomically, write_json
from lphm.errors import InputError


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
