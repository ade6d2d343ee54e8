"""``xi`` applied to files: one file out, whole or not at all, also after a kill; damage is one line."""

import errno
import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

import lphm
from lphm.errors import InputError, ReadError
from lphm.streamed import job
from lphm.streamed.files import RowFile, open_rows
from lphm.streamed.weights import read_weights
from support import forked
from support.children import apply_rows

ROWS = 1000
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"id": [f"r{i}" for i in range(ROWS)]})
for _name in ("a", "b", "c", "d"):
    TABLE[_name] = RNG.standard_normal(ROWS).astype(np.float32)
NUMBERS = np.asfortranarray(TABLE[["a", "b", "c", "d"]].to_numpy())
STRUCTURES = {"attribute": lphm.LPHM(n=1008, p=8, q=12, r=3), "instance": lphm.LowRank(n=4, r=2)}
STATIONARY = lphm.Toeplitz(n=1008, lags=151)  # 75 rows reach beyond a block of 64


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lphm.streamed.files.BLOCK_BYTES", 4 * 8 * 64)  # 64 rows


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    TABLE.to_parquet(path, row_group_size=300, index=False)
    return path


def apply(source: RowFile, output: Path, kind: str = "attribute", **more) -> None:
    structure = STRUCTURES[kind]
    job.apply_file(source, output, structure, read_weights(None, structure, 0), kind, **more)


def in_memory(kind: str, normalize: str | None) -> np.ndarray:
    """The output for all rows at once, in float64."""
    structure = STRUCTURES[kind]
    w, x = read_weights(None, structure, 0), torch.from_numpy(NUMBERS).double()
    out = lphm.interdependence_apply(structure, w, x, kind=kind, normalize=normalize, partial=True)
    return out.numpy()


@pytest.mark.parametrize(
    ("kind", "normalize"), [("attribute", None), ("attribute", "softmax"), ("instance", "scale")]
)
@pytest.mark.parametrize("layout", ["file", "directory", "rows.npy", "columns.npy"])
def test_the_output_is_that_of_all_rows_in_memory(
    tmp_path: Path, parquet: Path, layout: str, kind: str, normalize: str | None
) -> None:
    if layout == "directory":
        folder = tmp_path / "parts"
        folder.mkdir()
        for i, (start, stop) in enumerate(((0, 350), (350, 600), (600, ROWS))):
            TABLE[start:stop].to_parquet(folder / f"{i}.parquet", row_group_size=100, index=False)
        source = open_rows(folder, keep=("id",))
    elif layout.endswith("npy"):
        np.save(tmp_path / "x.npy", NUMBERS if layout == "columns.npy" else np.ascontiguousarray(NUMBERS))
        source = open_rows(tmp_path / "x.npy")
    else:
        source = open_rows(parquet, keep=("id",))
    output = tmp_path / ("out.npy" if layout.endswith("npy") else "out.parquet")
    apply(source, output, kind, normalize=normalize)
    if layout.endswith("npy"):
        out = np.load(output)
    else:
        table = pd.read_parquet(output)
        assert list(table.columns) == list(TABLE.columns)
        assert table["id"].tolist() == TABLE["id"].tolist()
        out = table[["a", "b", "c", "d"]].to_numpy()
    expected = in_memory(kind, normalize)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []


def test_lags_that_reach_beyond_a_block_count(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(STRUCTURES, "attribute", STATIONARY)
    apply(open_rows(parquet, keep=("id",)), tmp_path / "out.parquet", normalize="scale")
    out, expected = pd.read_parquet(tmp_path / "out.parquet"), in_memory("attribute", "scale")
    np.testing.assert_allclose(out[["a", "b", "c", "d"]], expected, rtol=1e-6, atol=1e-6 * expected.max())


def test_a_stationary_w_takes_no_memory_for_its_rows() -> None:
    job.require_fits(lphm.Toeplitz(n=10**12, lags=241), 4, "attribute")
    for structure, kind in ((lphm.LowRank(n=10**12, r=1), "attribute"), (lphm.Full(n=10**9), "instance")):
        with pytest.raises(InputError, match="choose smaller p, q, r or lags"):
            job.require_fits(structure, 4, kind)


def test_integers_and_booleans_become_float64(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": np.arange(50), "b": np.arange(50) % 2 == 0, "c": np.linspace(0, 1, 50)})
    table.to_parquet(tmp_path / "x.parquet")
    structure = lphm.LPHM(n=50, p=5, r=2)
    w = read_weights(None, structure, 0)
    job.apply_file(open_rows(tmp_path / "x.parquet"), tmp_path / "o.parquet", structure, w)
    out = pd.read_parquet(tmp_path / "o.parquet").to_numpy()
    x = torch.from_numpy(table.to_numpy(dtype=np.float64))
    expected = lphm.interdependence_apply(structure, w, x).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_progress_counts_the_rows_of_every_pass(tmp_path: Path, parquet: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    apply(open_rows(parquet, keep=("id",)), tmp_path / "out.parquet", progress=lambda *c: calls.append(c))
    for task in ("reducing", "mixing", "joining"):
        done = [call[1] for call in calls if call[0] == task]
        assert done == sorted(done)
        assert done[-1] == ROWS
    assert {call[2] for call in calls} == {ROWS}


# Interrupted jobs.


class KilledError(Exception):
    """Stands for a kill: nothing of the process goes on."""


def interrupt(source: RowFile, output: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that ends before its so-manieth block, in either pass."""
    monkeypatch.setattr(job, "SAVED_EVERY", 0.0)
    blocks, seen = source.blocks, 0

    def counted(first: int = 0):
        nonlocal seen
        for block in blocks(first):
            seen += 1
            if seen == after:
                raise KilledError
            yield block

    source.blocks = counted  # type: ignore[method-assign]
    with pytest.raises(KilledError):
        apply(source, output)
    assert not output.exists()


@pytest.mark.parametrize("structure", [STRUCTURES["attribute"], STATIONARY], ids=str)
@pytest.mark.parametrize("after", [1, 7, 15, 17, 24, 30])  # of 17 blocks in each pass
def test_an_interrupted_job_is_resumed_bit_for_bit(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, structure: lphm.Structure, after: int
) -> None:
    monkeypatch.setitem(STRUCTURES, "attribute", structure)
    apply(open_rows(parquet, keep=("id",)), tmp_path / "whole.parquet")
    output = tmp_path / "out.parquet"
    interrupt(open_rows(parquet, keep=("id",)), output, after, monkeypatch)
    with pytest.raises(InputError, match="resume that job, or delete the folder") as caught:
        apply(open_rows(parquet, keep=("id",)), output)
    assert caught.value.option == "resume"
    with pytest.raises(InputError, match="got another kind, structure, w: see"):
        apply(open_rows(parquet, keep=("id",)), output, "instance", resume=True)
    again = open_rows(parquet, keep=("id",))
    reread: list[int] = []
    blocks = again.blocks
    again.blocks = lambda first=0: (reread.append(first), blocks(first))[1]  # type: ignore[method-assign]
    apply(again, output, resume=True)
    whole = pd.read_parquet(tmp_path / "whole.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(output), whole, check_exact=True)
    assert (reread[0] > 0) == (after > 1)


def edit_sums(rows: str | None = "64", **changes: torch.Tensor | None) -> Callable[[Path], None]:
    """Sums like those of the job, with changes; None leaves a tensor out."""

    def edit(folder: Path) -> None:
        tensors = {"0": torch.zeros(8, 3, 4).double(), "1": torch.zeros(12, 3, 4).double()}
        tensors |= {name.removeprefix("sum_"): tensor for name, tensor in changes.items()}
        kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        save_file(kept, folder / "sums.safetensors", None if rows is None else {"rows": rows})

    return edit


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated job": (
        lambda f: (f / "job.json").write_text('{"kind": '),
        "job.json must be a JSON file, got: ",
    ),
    "job is a list": (
        lambda f: (f / "job.json").write_text("[1]"),
        "job.json must hold a JSON object, got list",
    ),
    "job is binary": (
        lambda f: (f / "job.json").write_bytes(b"\xff\xfe"),
        "job.json must be a JSON file, got: ",
    ),
    "job of nothing": (
        lambda f: (f / "job.json").write_text("{}"),
        "got another block_rows, columns, kind, names, normalize, output",
    ),
    "truncated sums": (
        lambda f: (f / "sums.safetensors").write_bytes((f / "sums.safetensors").read_bytes()[:100]),
        "sums.safetensors must hold the sums of this job, got ",
    ),
    "empty sums": (
        lambda f: (f / "sums.safetensors").write_bytes(b""),
        "must hold the sums of this job, got ",
    ),
    "sums without rows": (edit_sums(rows=None), "must hold the sums of this job, got 'rows'"),
    "rows that are no number": (
        edit_sums(rows="many"),
        "must hold the sums of this job, got invalid literal",
    ),
    "too many rows": (edit_sums(rows="1001"), "got those of 1001 rows in place of at most 1000"),
    "a negative number of rows": (edit_sums(rows="-1"), "got those of -1 rows in place of at most 1000"),
    "fewer rows": (edit_sums(rows="1"), "must hold the sums of this job, got numbers that have changed"),
    "another number": (
        edit_sums(sum_0=torch.zeros(8, 3, 4).double()),
        "must hold the sums of this job, got numbers that have changed",
    ),
    "a sum is missing": (edit_sums(sum_1=None), "must hold the sums of this job, got .*1"),
    "another shape": (edit_sums(sum_0=torch.zeros(8, 3, 5).double()), r"got .*\(8, 3, 5, .* in place of .*"),
    "another type": (edit_sums(sum_1=torch.zeros(12, 3, 4)), r"got .*torch.float32.* in place of .*"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_to_an_interrupted_job_is_one_line(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    output, folder = tmp_path / "out.parquet", tmp_path / "out.parquet.partial"
    interrupt(open_rows(parquet, keep=("id",)), output, 7, monkeypatch)
    damage, message = DAMAGE[case]
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        apply(open_rows(parquet, keep=("id",)), output, resume=True)
    assert "\n" not in str(caught.value)
    assert folder.exists()  # what is left is the user's to delete


def test_a_killed_process_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    rows = 20_000
    table = pd.DataFrame(RNG.standard_normal((rows, 8)), columns=[f"x{i}" for i in range(8)])
    table.to_parquet(tmp_path / "x.parquet", row_group_size=500, index=False)
    source, killed, whole = tmp_path / "x.parquet", tmp_path / "killed.parquet", tmp_path / "whole.parquet"
    ended = forked.start(apply_rows, source, killed, 10, cwd=tmp_path).wait()
    assert ended.returncode == -signal.SIGKILL
    assert not killed.exists()
    assert len(list((tmp_path / "killed.parquet.partial").glob("part-*.parquet"))) == 10
    for output, resume in ((killed, True), (whole, False)):
        ended = forked.start(apply_rows, source, output, None, resume, cwd=tmp_path).wait()
        assert ended.returncode == 0, ended.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(killed), pd.read_parquet(whole), check_exact=True)
    assert not (tmp_path / "killed.parquet.partial").exists()


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    peaks = []
    for rows in (100_000, 800_000):
        with (tmp_path / "x.npy").open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 16)}
            np.lib.format.write_array_header_1_0(file, header)
            for _ in range(rows // 100_000):
                RNG.standard_normal((100_000, 16), dtype=np.float32).tofile(file)
        ended = forked.start(apply_rows, tmp_path / "x.npy", tmp_path / "out.parquet", cwd=tmp_path).wait()
        assert ended.returncode == 0, ended.stderr
        peaks.append(float(ended.stdout))
    assert peaks[1] - peaks[0] < 28  # MB; the rows would be 45 more, and the output as many
    assert pd.read_parquet(tmp_path / "out.parquet", columns=["15"]).shape == (800_000, 1)


# Kills while files are deleted, and folders that hold something else.


@pytest.mark.parametrize("suffix", [".parquet", ".npy"])
@pytest.mark.parametrize("deleted", [0, 1, 2, 9, 17])
def test_a_job_that_was_killed_while_it_cleaned_up_loses_no_row(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, deleted: int
) -> None:
    source, output = tmp_path / f"x{suffix}", tmp_path / f"out{suffix}"
    TABLE.drop(columns="id").to_parquet(source) if suffix == ".parquet" else np.save(source, NUMBERS)
    apply(open_rows(source), output)
    whole = output.read_bytes()
    unlink, left = Path.unlink, deleted

    def killed(path: Path, missing_ok: bool = False) -> None:
        nonlocal left
        if path.parent.name.endswith(".partial") and not path.name.startswith("."):
            if left == 0:
                raise KilledError
            left -= 1
        unlink(path, missing_ok)

    output.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KilledError):
            apply(open_rows(source), output)
    assert output.read_bytes() == whole
    assert left_over(output) == (deleted > 0)
    apply(open_rows(source), output, resume=True)
    assert output.read_bytes() == whole
    assert not output.with_name(output.name + ".partial").exists()


def left_over(output: Path) -> bool:
    """Whether the folder of the job is there, and is not that of a job any more."""
    folder = output.with_name(output.name + ".partial")
    assert folder.exists()
    return not (folder / "job.json").exists()


def part(folder: Path, first: int) -> Path:
    """The part that begins with this row."""
    (file,) = folder.glob(f"part-{first:015}-*")
    return file


def with_another_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


PARTS: dict[str, Callable[[Path], object]] = {
    "the first is missing": lambda f: (part(f, 0)).unlink(),
    "one is missing": lambda f: (part(f, 128)).unlink(),
    "one is truncated": lambda f: (part(f, 128)).write_bytes(b"PAR1"),
    "one has another byte": lambda f: with_another_byte(part(f, 128)),
    "one is empty": lambda f: (part(f, 128)).write_bytes(b""),
    "one is another": lambda f: shutil.copy(part(f, 0), part(f, 64)),
    "one has other columns": lambda f: pd.DataFrame({"a": np.zeros(64)}).to_parquet(part(f, 64)),
    "one of another type": lambda f: (
        pd.read_parquet(part(f, 64)).astype({"a": float}).to_parquet(part(f, 64))
    ),
    "one beyond the rows": lambda f: shutil.copy(part(f, 0), f / part(f, 0).name.replace("0-", "9-", 1)),
    "one of another format": lambda f: np.save(part(f, 128).with_suffix(".npy"), NUMBERS[:64]),
    "files of others": lambda f: [
        (f / name).write_text("mine") for name in ("part-1.parquet", "part-old.parquet", "notes.txt")
    ],
}


@pytest.mark.parametrize("case", PARTS)
def test_a_resumed_job_takes_only_parts_that_follow_one_another(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    apply(open_rows(parquet, keep=("id",)), tmp_path / "whole.parquet")
    output, folder = tmp_path / "out.parquet", tmp_path / "out.parquet.partial"
    interrupt(open_rows(parquet, keep=("id",)), output, 24, monkeypatch)
    PARTS[case](folder)
    apply(open_rows(parquet, keep=("id",)), output, resume=True)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    others = [path.read_text() for path in folder.glob("*")]
    assert others == (["mine"] * 3 if case == "files of others" else [])


def test_parts_of_some_rows_never_become_the_output(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.parquet").write_text("old")
    source = open_rows(parquet, keep=("id",))
    blocks = source.blocks
    source.blocks = lambda first=0: (block for block in blocks(first) if block.first != 128)  # type: ignore[method-assign]
    monkeypatch.setattr(job.Reduction, "finish", lambda self, **_: job.Mixing(None, lambda x: x, self.w))
    with pytest.raises(InputError, match="must have all 1000 rows, got 936; start again"):
        apply(source, tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_text() == "old"


@pytest.mark.parametrize("resume", [False, True])
def test_a_job_killed_before_its_first_file_is_begun_anew(
    tmp_path: Path, parquet: Path, resume: bool
) -> None:
    folder = tmp_path / "out.parquet.partial"
    folder.mkdir()
    (folder / ".job-lphm-k2j3h4g5.json").write_text("{")
    apply(open_rows(parquet, keep=("id",)), tmp_path / "out.parquet", resume=resume)
    assert len(pd.read_parquet(tmp_path / "out.parquet")) == ROWS
    assert not folder.exists()


@pytest.mark.parametrize("saved", [True, False])
def test_a_source_that_cannot_be_read_any_more_loses_nothing(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    apply(open_rows(parquet, keep=("id",)), tmp_path / "whole.parquet")
    output, source = tmp_path / "out.parquet", open_rows(parquet, keep=("id",))
    monkeypatch.setattr(job, "SAVED_EVERY", -1.0 if saved else 1e9)
    blocks = source.blocks

    def fail(first: int = 0):  # type: ignore[no-untyped-def]
        yield from itertools.islice(blocks(first), 3)
        raise ReadError("the disk is gone")

    monkeypatch.setattr(source, "blocks", fail)
    with pytest.raises(ReadError, match="the disk is gone") as caught:
        apply(source, output)
    folder = tmp_path / "out.parquet.partial"
    assert (caught.value.option == "resume") is folder.exists() is saved
    apply(open_rows(parquet, keep=("id",)), output, resume=True)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_finished_job_that_is_resumed_gives_the_same_once_more(tmp_path: Path, parquet: Path) -> None:
    output = tmp_path / "out.parquet"
    apply(open_rows(parquet, keep=("id",)), output)
    whole = output.read_bytes()
    apply(open_rows(parquet, keep=("id",)), output, resume=True)
    assert output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def test_another_size_of_blocks_is_another_job(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(open_rows(parquet, keep=("id",)), tmp_path / "out.parquet", 24, monkeypatch)
    monkeypatch.setattr("lphm.streamed.files.BLOCK_BYTES", 4 * 8 * 100)
    with pytest.raises(InputError, match="got another block_rows"):
        apply(open_rows(parquet, keep=("id",)), tmp_path / "out.parquet", resume=True)


@pytest.mark.parametrize("failing", ["sums.safetensors", "part-000000000000128", "out.parquet"])
def test_a_full_disk_keeps_what_is_done(
    tmp_path: Path, parquet: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    apply(open_rows(parquet, keep=("id",)), tmp_path / "whole.parquet")
    output = tmp_path / "out.parquet"
    output.write_text("old")
    replace = Path.replace

    def full(temporary: Path, path: Path) -> Path:
        if path.name.startswith(failing):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(temporary, path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        message = (
            f"{failing}.* must be a file that can be written, got: No space left on device; what is done"
        )
        with pytest.raises(InputError, match=message) as caught:
            apply(open_rows(parquet, keep=("id",)), output)
    assert caught.value.option == "resume"
    assert output.read_text() == "old"
    apply(open_rows(parquet, keep=("id",)), output, resume=True)
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


# Numbers that leave the finite range.


@pytest.mark.parametrize(
    ("numbers", "kind", "message"),
    [
        (
            (NUMBERS * 1e20).astype(np.float32),
            "attribute",
            r"the output must be finite numbers of the type float32, got -?\d.\d+e.\d\d in row 1, column '0'",
        ),
        (
            NUMBERS.astype(np.float64) * 1e160,
            "attribute",
            "xi must be finite numbers, got nan for the columns '0' and '0'",
        ),
        (
            NUMBERS.astype(np.float64) * 1e120,
            "instance",
            "the output must be finite numbers of the type float64, got -?inf in row 1, column '0'",
        ),
        (
            np.concatenate([np.zeros((100, 4)), np.ones((1, 4)) * 1e30, np.ones((899, 4))]).astype(
                np.float32
            ),
            "attribute",
            "the output must be finite numbers of the type float32, got .* in row 101, column '0'",
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_an_output_beyond_the_range_of_its_type_is_refused(
    tmp_path: Path, numbers: np.ndarray, kind: str, message: str, suffix: str
) -> None:
    np.save(tmp_path / "x.npy", numbers)
    output = tmp_path / f"out{suffix}"
    output.write_text("old")
    with pytest.raises(InputError, match=message) as caught:
        apply(
            open_rows(tmp_path / "x.npy"),
            output,
            kind,
            matrix=tmp_path / "xi.csv" if kind[0] == "a" else None,
        )
    assert "\n" not in str(caught.value)
    assert output.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} <= {"x.npy", output.name, "xi.csv"}
    assert (tmp_path / "xi.csv").exists() == ("output" in message and kind == "attribute")


@pytest.mark.parametrize(
    ("w", "got"),
    [
        (np.ones(16, dtype=np.complex64), r"\(16,\) torch.complex64"),
        (np.ones(15), r"\(15,\) torch.float64"),
        (np.full(16, np.nan), r"\(16,\) torch.float64"),
        (np.full(16, -np.inf, dtype=np.float16), r"\(16,\) torch.float16"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_weights_must_be_finite_and_real(tmp_path: Path, w: np.ndarray, got: str, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    np.save(file, w) if suffix == ".npy" else save_file({"w": torch.from_numpy(w)}, file)
    with pytest.raises(
        InputError, match=f"must hold one tensor of l=16 finite real numbers .*, got {got} in"
    ):
        read_weights(file, STRUCTURES["instance"], 0)


@pytest.mark.parametrize("dtype", ["u2", "i8", "?", "f2"])
def test_weights_may_be_of_any_type_of_numbers(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "w.npy", np.arange(16).reshape(4, 4).astype(dtype))
    w = read_weights(tmp_path / "w.npy", STRUCTURES["instance"], 0)
    assert w.tolist() == np.arange(16).astype(dtype).astype(float).tolist()


# Errors.


@pytest.mark.parametrize(
    ("call", "message", "option", "value"),
    [
        (
            open_rows,
            "column 'id' must hold numbers, got (large_)?string; leave it out",
            "drop",
            "id",
        ),
        (
            lambda path: open_rows(path, drop=("no",)),
            "must have the column 'no', got id, a, b, c, d",
            None,
            None,
        ),
        (
            lambda path: read_weights(path.with_name("w.npy"), STRUCTURES["instance"], 0),
            "weights must be a readable .npy or .safetensors file, got .*w.npy: .*No such file",
            "weights",
            None,
        ),
        (
            lambda path: read_weights(write_weights(path, [1.0, 2.0]), STRUCTURES["instance"], 0),
            r"must hold one tensor of l=16 finite real numbers for LowRank\(n=4, r=2\), got \(2,\) .*w.npy",
            "weights",
            None,
        ),
        (
            lambda path: read_weights(write_weights(path, [np.nan] * 16), STRUCTURES["instance"], 0),
            r"weights must hold one tensor of l=16 finite real numbers .*, got \(16,\)",
            "weights",
            None,
        ),
        (
            lambda path: apply(
                open_rows(path, ("id",)), path.with_name("o.npy"), "instance", normalize="softmax"
            ),
            "normalize must be None or 'scale' for the instance kind",
            None,
            None,
        ),
    ],
)
def test_errors_name_the_argument_that_mends_them(
    parquet: Path, call: Callable[[Path], object], message: str, option: str | None, value: str | None
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call(parquet)
    assert (caught.value.option, caught.value.value) == (option, value)
    assert "\n" not in str(caught.value)
    assert {path.name for path in parquet.parent.iterdir()} <= {"rows.parquet", "w.npy"}


def write_weights(path: Path, numbers: list[float]) -> Path:
    np.save(path.with_name("w.npy"), np.array(numbers))
    return path.with_name("w.npy")


def test_a_missing_value_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    table = TABLE.drop(columns="id").copy()
    table.loc[777, "c"] = np.nan
    table.to_parquet(tmp_path / "x.parquet", row_group_size=300, index=False)
    with pytest.raises(
        InputError, match=r"column 'c' must hold finite numbers, got nan in row 778"
    ) as caught:
        apply(open_rows(tmp_path / "x.parquet"), tmp_path / "out.parquet")
    assert (caught.value.option, caught.value.value) == ("drop", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize(
    "name", ["x.txt", "none.parquet", "broken.parquet", "broken.npy", "flat.npy", "empty"]
)
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name == "flat.npy":
        np.save(path, np.ones(3))
    elif name != "none.parquet":
        path.write_bytes(b"no rows")
    with pytest.raises(InputError, match=name):
        open_rows(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (NUMBERS * 1j, "must hold numbers"),
        (NUMBERS.astype(str), "must hold numbers"),
        (NUMBERS[None], "must hold numbers"),
        (NUMBERS[:0], "must hold numbers"),
        (np.zeros(3, dtype=[("a", float)]), "must hold numbers"),
        (np.array([[None, 1]]), "must be a readable .npy file"),
        (
            NUMBERS.astype(np.longdouble) * np.longdouble("1e400"),
            "must hold finite numbers, got -?inf in row 1",
        ),
    ],
)
def test_arrays_that_are_no_finite_numbers_are_refused(
    tmp_path: Path, array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        list(open_rows(tmp_path / "x.npy").blocks())


def test_an_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, a=NUMBERS)
    with pytest.raises(InputError, match="got an archive of arrays"):
        open_rows(tmp_path / "x.npy")


@pytest.mark.parametrize("dtype", [">f8", "f2", "u8", "i1", "?"])
@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_every_type_of_numbers_becomes_float64(tmp_path: Path, dtype: str, suffix: str) -> None:
    values = (NUMBERS * 100).astype(int).astype(dtype)
    if dtype == "u8":
        values[0] = 2**63 + 1  # is rounded
    if suffix == ".npy":
        np.save(tmp_path / "x.npy", values)
    else:
        table = {f"{i}": column.astype(values.dtype.newbyteorder("=")) for i, column in enumerate(values.T)}
        pq.write_table(pa.table(table), tmp_path / "x.parquet")
    blocks = [block.rows for block in open_rows(tmp_path / f"x{suffix}").blocks()]
    np.testing.assert_array_equal(torch.cat(blocks).numpy(), values.astype(np.float64))


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["a", "a"]), tmp_path / "x.parquet"
    )
    with pytest.raises(InputError, match="must give every column a name of its own, got 'a' twice"):
        open_rows(tmp_path / "x.parquet")


@pytest.mark.parametrize("name", ["out.NPY", "out.PARQUET"])
def test_the_suffix_of_the_output_may_be_upper_case(tmp_path: Path, parquet: Path, name: str) -> None:
    apply(open_rows(parquet, drop=("id",)), tmp_path / name)
    read = np.load if name.endswith("NPY") else pd.read_parquet
    assert read(tmp_path / name).shape == (ROWS, 4)


# The command line.


def command(*arguments: object, cwd: Path) -> forked.Ended:
    return forked.start(forked.lphm, "apply", *arguments, cwd=cwd).wait()


def test_the_command_prints_what_it_did(tmp_path: Path, parquet: Path) -> None:
    structure = lphm.LPHM(n=1000, p=10, q=20, r=2)
    w = torch.randn(structure.num_parameters, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    np.save(tmp_path / "w.npy", w.numpy())
    sizes = f"--p 10 --q 20 --r 2 --weights {tmp_path / 'w.npy'} --normalize scale --drop id".split()
    out, xi = tmp_path / "out.parquet", tmp_path / "xi.csv"
    done = command(parquet, "--matrix", xi, *sizes, "-o", out, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["rows"], printed["columns"], printed["parameters"]) == (1000, 4, structure.num_parameters)
    assert printed["structure"] == structure.to_config()
    x = torch.from_numpy(NUMBERS).double()
    expected = lphm.interdependence_matrix(structure, w, x, normalize="scale")
    matrix = pd.read_csv(xi, index_col=0)
    assert list(matrix.columns) == list(matrix.index) == ["a", "b", "c", "d"]
    np.testing.assert_allclose(matrix.to_numpy(), expected.numpy(), rtol=1e-9)
    applied = (x @ expected).numpy()
    written = pd.read_parquet(out).to_numpy()
    np.testing.assert_allclose(written, applied, rtol=1e-5, atol=1e-6 * np.abs(applied).max())


def test_the_command_takes_lags(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", NUMBERS)
    options = ("--structure", "toeplitz", "--lags", "5", "--matrix", "xi.csv", "-o", "out.npy")
    done = command("x.npy", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    structure = lphm.Toeplitz(n=ROWS, lags=5)
    w, x = read_weights(None, structure, 0), torch.from_numpy(NUMBERS).double()
    xi = pd.read_csv(tmp_path / "xi.csv", index_col=0).to_numpy()
    want = lphm.interdependence_matrix(structure, w, x).numpy()
    np.testing.assert_allclose(xi, want, rtol=1e-10, atol=1e-10 * want.max())


def test_names_that_a_spreadsheet_would_run_are_guarded_if_asked_for(tmp_path: Path) -> None:
    pd.DataFrame(NUMBERS[:, :2], columns=["=a", "b"]).to_parquet(tmp_path / "x.parquet")
    for more, names in ([], ["=a", "b"]), (["--spreadsheet"], ["'=a", "b"]):
        done = command("x.parquet", "--matrix", "xi.csv", *more, "-o", "out.parquet", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        matrix = pd.read_csv(tmp_path / "xi.csv", index_col=0)
        assert list(matrix.columns) == list(matrix.index) == names


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "column 'id' must hold numbers, got "),
        (["--drop", "id", "--structure", "full"], "use LPHM, DualLPHM, LowRank, RandomMatrixAdaptation"),
        (["--drop", "id", "--weights", "w.npy"], "weights must be a readable .npy or .safetensors file"),
        (["--drop", "id", "--kind", "instance", "--matrix", "xi.csv"], "matrix must be a .csv file"),
    ],
)
def test_errors_of_the_command_are_one_line_and_leave_nothing(
    tmp_path: Path, parquet: Path, more: list[str], message: str
) -> None:
    done = command(parquet, "-o", tmp_path / "out.parquet", *more, cwd=tmp_path)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]
