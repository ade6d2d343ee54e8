"""The command line: arguments in, tables and messages out. What it does is done elsewhere."""

import typer

from lphm.cli.apply import apply_command
from lphm.cli.layers import bench_command
from lphm.cli.runs import evaluate_command, info_command, predict_command, report_command
from lphm.cli.train import train_command

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Train and use networks of low-rank hierarchical interdependence (LPHM), on your own data.",
)
app.command("train")(train_command)
app.command("predict")(predict_command)
app.command("evaluate")(evaluate_command)
app.command("report")(report_command)
app.command("info")(info_command)
app.command("apply")(apply_command)
app.command("bench")(bench_command)
