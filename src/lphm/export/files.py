"""The files of an exported run: ``.onnx`` for onnxruntime and others, ``.pt2`` for ``torch.export.load``."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from lphm._io import require_writable, write_atomically
from lphm.data.targets import ClassTarget
from lphm.data.words import word
from lphm.errors import InputError
from lphm.export.columns import Column, columns_of
from lphm.export.scorer import Scorer
from lphm.learn.run import Run
from lphm.learn.torch_state import on_the_cpu

SUFFIXES = (".onnx", ".pt2")
#: Version of the operators of ONNX; the first that has all that are used here is 17.
OPSET = 18
#: The file in a ``.pt2`` that describes its inputs and outputs.
DESCRIPTION = "lphm.json"
#: Samples of the example that is traced: neither 0 nor 1, which torch takes for sizes that stay.
TRACED = 3


def export_run(run: Run, path: str | Path) -> None:
    """Write a trained run as a model that scores without this package.

    The model holds all that ``run.predict`` does with cells that have been read: standardisation, categories,
    missing values, every member and their mean, probabilities, and the unit of the target. It takes any
    number ``N`` of samples; its inputs are the columns of the table, float64 ``(N, 1)``, or one tensor ``X``
    ``(N, steps, channels)`` or ``(N, rows, columns)``.

    - ``.onnx``: categories are strings. The outputs are ``label`` ``(N,)`` and ``probabilities``
      ``(N, classes)``, or ``prediction`` ``(N,)``.
    - ``.pt2``: categories are int64 codes, and ``label`` is the number of a class.

    The file describes its inputs and outputs; ``docs/export.md`` says how they are read. Numbers that are
    too far from those of training, which ``run.predict`` refuses, are not refused by the file.

    Args:
        run: the run, of ``lphm.learn.run.load_run`` or the attribute ``run_`` of an estimator.
        path: a file that ends in ``.onnx`` or ``.pt2``.

    Raises:
        InputError: the path ends otherwise, a package is missing, or a column cannot be exported: the words
            of a text are not counted by operators on tensors.

    Example:
        >>> import tempfile
        >>> from lphm import LPHMRegressor
        >>> from lphm.export import export_run
        >>> model = LPHMRegressor(members=1, epochs=1).fit([[0.0], [1.0], [2.0]] * 9, [0.0, 1.0, 2.0] * 9)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_run(model.run_, f"{folder}/model.pt2")
        ...     program = torch.export.load(f"{folder}/model.pt2")
        >>> program.module()(torch.zeros(5, 1, dtype=torch.float64)).shape
        torch.Size([5])
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the file must be a {' or '.join(SUFFIXES)} file, got {path}; change its end")
    require_writable(path)
    columns = columns_of(run.config.input)
    if path.suffix.lower() == ".onnx":
        packages = _packages()
        model = _onnx_model(run, columns, *packages)
        with write_atomically(path) as temporary:
            packages[0].save(model, temporary)
    else:
        extra = {DESCRIPTION: json.dumps(_description(run, columns, text=False))}
        program = _traced(run, columns)
        with write_atomically(path) as temporary, temporary.open("wb") as file, _quiet():
            torch.export.save(program, file, extra_files=extra)


def _description(run: Run, columns: list[Column], text: bool) -> dict[str, Any]:
    """What the file says about itself; with ``text``, categories and classes are taken and given as words."""
    target = run.config.target
    facts: dict[str, Any] = {
        "lphm": version("lphm"),
        "task": target.task,
        "target": target.name,
        "unit": target.unit,
    }
    facts["inputs"] = [column.describe(text) for column in columns]
    if isinstance(target, ClassTarget):
        return facts | {"classes": target.classes, "outputs": ["label", "probabilities"]}
    return facts | {"outputs": ["prediction"]}


@on_the_cpu()
def _traced(run: Run, columns: list[Column]) -> ExportedProgram:
    """The run as a graph for any number of samples."""
    examples = tuple(_example(column) for column in columns)
    shapes = {"columns": tuple({0: Dim("N")} for _ in columns)}
    with torch.no_grad(), _quiet():
        return torch.export.export(Scorer(run, columns), examples, dynamic_shapes=shapes)


def _example(column: Column) -> Tensor:
    dtype = torch.int64 if column.content == "category" else torch.float64
    return torch.zeros(TRACED, *column.shape, dtype=dtype)


def _onnx_model(run: Run, columns: list[Column], ir: Any, passes: Any, optimizer: Any) -> Any:
    """The model, in which words become codes before the traced graph, and numbers of classes labels after."""
    facts, program = _description(run, columns, text=True), _traced(run, columns)
    with _quiet():
        # Without its other optimisations, which take minutes: a runtime does them when it loads the model.
        converted = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            output_names=facts["outputs"],
            optimize=False,
            verbose=False,
        )
        assert converted is not None  # it is None only for other exporters
        model: Any = converted.model
        optimizer.fold_constants(model)
        optimizer.remove_unused_nodes(model)
    for value, column in zip(list(model.graph.inputs), columns, strict=True):
        value.name, value.shape = column.input_name, ir.Shape(["N", *column.shape])
        if column.content == "category":
            _take_words(ir, model.graph, value, column)
    for value in model.graph.outputs:
        value.shape = ir.Shape(["N", *value.shape.dims[1:]])
    if isinstance(run.config.target, ClassTarget):
        _give_labels(ir, model.graph, run.config.target)
    passes.ClearMetadataAndDocStringPass()(model)  # it names source files
    passes.NameFixPass()(model)  # a column may have the name of a value within
    model.opset_imports["ai.onnx.ml"] = 3
    model.producer_name, model.producer_version = "lphm", facts["lphm"]
    model.metadata_props.update({name: json.dumps(fact) for name, fact in facts.items()})
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings and log lines of torch and onnxscript about themselves."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _take_words(ir: Any, graph: Any, codes: Any, column: Column) -> None:
    """Put words in the place of an input that takes codes."""
    keys, values = zip(*column.codes().items(), strict=True)
    attributes = {"keys_strings": keys, "values_int64s": values, "default_int64": 0}
    string = ir.TensorType(ir.DataType.STRING)
    words = ir.Value(name=codes.name, shape=codes.shape, type=string)
    codes.name = f"{codes.name} as codes"
    node = ir.node("LabelEncoder", [words], attributes, domain="ai.onnx.ml")
    codes.replace_all_uses_with(node.outputs[0])
    graph.inputs[list(graph.inputs).index(codes)] = words
    graph.insert_before(graph[0], node)


def _give_labels(ir: Any, graph: Any, target: ClassTarget) -> None:
    """Put classes in the place of the output that gives their numbers."""
    number = graph.outputs[0]
    classes = ir.node("Constant", [], {"value": ir.tensor(_labels(target.classes))})
    node = ir.node("Gather", [classes.outputs[0], number])
    labels = node.outputs[0]
    labels.name, number.name = number.name, f"{number.name} as number"
    labels.shape = number.shape
    labels.type = ir.TensorType(classes.attributes["value"].value.dtype)
    graph.outputs[0] = labels
    graph.extend([classes, node])


def _labels(classes: list[bool | int | float | str]) -> np.ndarray | list[str]:
    """Truth values or numbers as an array if the classes are that and no others; or else as words."""
    array = np.array(classes)
    alike = len({isinstance(each, bool) for each in classes}) == 1
    return array if alike and array.dtype.kind in "bif" else [word(each) for each in classes]


def _packages() -> tuple[Any, Any, Any]:
    """The packages of the extra, imported when a file is written; the rest of ``lphm`` needs none of them."""
    try:
        import onnx_ir
        from onnx_ir.passes import common
        from onnxscript import optimizer
    except ModuleNotFoundError as error:
        wanted = f"{error.name} must be installed to export to ONNX, got none"
        raise InputError(f"{wanted}; pip install 'lphm[export]'") from error
    return onnx_ir, common, optimizer
