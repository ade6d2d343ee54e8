"""The command ``compress``: a matrix by the structure that comes nearest to it."""

import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lphm.cli.arguments import Output, Printing, loading, require_exists, require_output
from lphm.errors import InputError
from lphm.learn.options import StructureName

SUFFIXES = (".npy", ".safetensors")


def compress(
    file: Path,
    /,
    *,
    budget: float,
    output: Output,
    tensor: str | None = None,
    structure: Annotated[list[StructureName] | None, Parameter(group="Structure")] = None,
    printing: Printing | None = None,
) -> None:
    """Search the structure, and its sizes, that come nearest to a matrix with few parameters.

    'lphm apply --weights' reads what is written: the parameters, and in the metadata their structure.

    **Examples**

        lphm compress W.npy --budget 20000 -o w.safetensors
        lphm compress model.safetensors --tensor layer.weight --budget 0.01 -o w.safetensors

    Args:
        file: A .npy or .safetensors file with a matrix.
        budget: The most parameters. Up to 1: a share of the numbers of the matrix.
        output: The .safetensors file to write.
        tensor: Name of the matrix, where the .safetensors file holds several.
        structure: A structure to search; may be repeated. Default: all.
    """
    printing = printing or Printing()
    if file.suffix.lower() not in SUFFIXES:
        raise InputError(f"the matrix must be a .npy or .safetensors file, got {file}")
    if output.suffix.lower() != ".safetensors":
        raise InputError(f"the output must be a .safetensors file, got {output}")
    if not 0 < budget < math.inf:
        raise InputError(f"budget must be a number above 0, got {budget}", option="budget")
    if budget > 1 and budget % 1:
        raise InputError(f"budget must be a whole number, or a share up to 1, got {budget}", option="budget")
    require_exists(file)
    require_output(output, file)
    with loading():
        from lphm.cli.printing import columns, say
        from lphm.streamed.weights import read_matrix, write_weights
        from lphm.structures.compression import SEARCHED
        from lphm.structures.compression import compress as search
        from lphm.structures.named import NAMED

    W = read_matrix(file, tensor)
    searched = [NAMED[name] for name in dict.fromkeys(structure)] if structure else SEARCHED
    try:
        best = search(W, int(budget) if budget > 1 else budget, searched)
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error
    write_weights(output, best.structure, best.vector)
    fits = [
        {
            "structure": fit.structure.to_config(),
            "parameters": fit.structure.num_parameters,
            "error": fit.error,
        }
        for fit in (best, *best.others)
    ]
    cells = (
        (f"{fit.error:.3g}", f"{fit.structure.num_parameters:,}", str(fit.structure))
        for fit in (best, *best.others)
    )
    title = f"{file}: {W.shape[0]} x {W.shape[1]}, best first"
    table = columns(title, ("relative error", "parameters", "W"), cells)
    say(table, {"output": str(output), **fits[0], "table": fits}, printing)
