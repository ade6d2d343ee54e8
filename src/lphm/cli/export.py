"""The command ``export``."""

from lphm.cli.arguments import Output, RunFolder, loading, require_exists, require_output
from lphm.errors import one_line


def export(run: RunFolder, /, *, output: Output | None = None) -> None:
    """Write a run as a model that scores without lphm: .onnx for onnxruntime and others, .pt2 for PyTorch.

    The model takes the columns of a table as they are read, and gives the label and the probabilities of
    every class, or the number that is predicted.

    **Examples**

        lphm export runs/houses-1
        lphm export runs/houses-1 -o houses.onnx
        lphm export runs/houses-1 -o houses.pt2

    Args:
        output: The .onnx or .pt2 file to write. Default: RUN/model.onnx.
    """
    require_exists(run)
    path = run / "model.onnx" if output is None else output
    require_output(path)
    require_output(path, *(file for file in run.glob("*") if file.resolve() != path.resolve()))
    with loading():
        from lphm.export import export_run
        from lphm.learn.run import load_run

    export_run(load_run(run), path)
    print(one_line(str(path)))
