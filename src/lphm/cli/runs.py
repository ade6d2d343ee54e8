"""The commands for a run that is there: ``predict``, ``evaluate``, ``report`` and ``info``."""

from dataclasses import replace
from pathlib import Path

from lphm._io import write_atomically
from lphm.cli.arguments import (
    Output,
    Printing,
    RunFolder,
    Source,
    require_exists,
    require_output,
    when_interrupted,
)
from lphm.errors import InputError, one_line
from lphm.learn.options import DeviceName


def predict(
    run: RunFolder,
    file: Path,
    /,
    *,
    output: Output,
    device: DeviceName = "auto",
    spreadsheet: bool = False,
) -> None:
    """Predict the target of every sample, with class probabilities for classification.

    **Example**

        lphm predict runs/houses-1 new.csv -o predicted.csv

    Args:
        file: Data with the columns of the training data; no target is needed.
        output: The .csv file to write.
        device: Where the network predicts. auto: on a GPU (cuda, then mps) if there is one.
        spreadsheet: Put a ' before text that a spreadsheet would run as a formula. Default: as it is, for
            programs.
    """
    if output.suffix.lower() != ".csv":
        raise InputError(f"the output must be a .csv file, got {output}")
    require_exists(run, file)
    require_output(output, file)
    if output.exists() and output.resolve().parent == run.resolve():
        raise InputError(f"the output must not be a file of the run, got {output}")
    with when_interrupted(lambda: "nothing was written"):
        from lphm.cli.progress import bars
        from lphm.data.formulas import guard_formulas
        from lphm.data.readers import read_inputs
        from lphm.data.schema import SeriesSchema
        from lphm.data.targets import free_name
        from lphm.learn.run import load_run

        model = replace(load_run(run), device=device)
        inputs, names = read_inputs(file, model.config.input)
        with bars(True) as progress:
            predicted = model.predict(inputs, progress)
        if names is not None and isinstance(model.config.input, SeriesSchema):
            predicted.insert(0, free_name(str(model.config.input.series), list(predicted)), names)
        with write_atomically(output) as temporary:
            (guard_formulas(predicted) if spreadsheet else predicted).to_csv(temporary, index=False)
    print(one_line(f"{len(predicted)} predictions of {model.config.target.name!r} in {output}"))


def evaluate(
    run: RunFolder, source: Source, /, *, device: DeviceName = "auto", printing: Printing | None = None
) -> None:
    """Score a run on data whose target is known.

    **Example**

        lphm evaluate runs/houses-1 next_year.csv

    Args:
        device: Where the network predicts. auto: on a GPU (cuda, then mps) if there is one.
    """
    require_exists(run)
    from lphm.cli.printing import grid, say
    from lphm.cli.progress import bars
    from lphm.data.amounts import labelled
    from lphm.data.readers import read_test
    from lphm.learn import evaluation
    from lphm.learn.run import load_run

    printing = printing or Printing()
    model = replace(load_run(run), device=device)
    data = read_test(source, model.config.input, model.config.target)
    with bars(printing.shows_bars) as progress:
        outputs = model.outputs(data.inputs, progress=progress)
    scored = evaluation.evaluate(model, data, interdependence=False, outputs=outputs)
    values = {**scored.scores, "samples": len(data)}
    rows = labelled(scored.scores, model.config.target.unit) | {"samples": f"{len(data):,}"}
    say(grid(f"{run} on {data.name}", rows), values, printing)


def report(run: RunFolder, /, *, output: Output | None = None) -> None:
    """Write a run's report again: one HTML page that needs no network.

    **Example**

        lphm report runs/digits-1 -o digits.html

    Args:
        output: The page to write. Default: RUN/report.html.
    """
    require_exists(run)
    if output is not None:
        require_output(output, *(path for path in run.glob("*") if path.name != "report.html"))
    from lphm.report import write_report

    print(one_line(str(write_report(run, output))))


def info(run: RunFolder, /, *, json: bool = False) -> None:
    """Say what a run is: its data, network, structures and scores.

    **Example**

        lphm info runs/digits-1

    Args:
        json: Print the result as JSON, for scripts.
    """
    require_exists(run)
    from lphm.cli.printing import grid, say
    from lphm.learn.run import load_run

    model = load_run(run)
    config = model.config.model_dump(mode="json")
    choices = {"method": config["method"]}
    for part in ("network", "training", "patterns"):
        choices |= config.get(part, {})
    rows = {
        "source": config["source"],
        "target": f"{config['target']['name']} ({config['target']['task']})",
        "input": config["input"]["layout"],
        **{key: str(value) for key, value in choices.items()},
        "parameters": f"{sum(t.numel() for t in model.network.parameters()):,}",
    }
    say(grid(str(run), rows), config, Printing(json=json))
