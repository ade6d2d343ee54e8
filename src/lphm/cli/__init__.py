"""The command line: arguments in, tables and messages out.

The commands import what they run in their bodies: help and the refusal of a wrong option need no torch.
"""

from typing import Any

from cyclopts import App, Parameter

from lphm.cli import apply, bench, compress, run_folder, runs, train
from lphm.cli.arguments import require_whole_numbers
from lphm.cli.export import export
from lphm.cli.predict import predict

__all__ = ["app"]

app = App(
    name="lphm",
    help="Train and use networks of low-rank hierarchical interdependence (LPHM) on your own data. "
    "'lphm train' needs no argument; 'lphm COMMAND --help' shows examples.",
    help_format="markdown",
    default_parameter=Parameter(negative=()),
    result_action="return_value",
    config=require_whole_numbers,
    suppress_keyboard_interrupt=False,  # lphm.__main__ says what it means
)
app.register_install_completion_command()
app.command(train.train, config=[run_folder.use_config, require_whole_numbers], sort_key=0)
COMMANDS: list[Any] = [
    predict,
    runs.evaluate,
    runs.report,
    runs.info,
    export,
    apply.apply,
    compress.compress,
    bench.bench,
]
for place, command in enumerate(COMMANDS, start=1):
    app.command(command, sort_key=place)
