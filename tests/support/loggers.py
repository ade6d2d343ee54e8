"""A logger that remembers its calls."""

from typing import Any


class Recorder:
    """The methods of Lightning's loggers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.calls.append(("params", params))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.calls.append(("metrics", (step, metrics)))

    def finalize(self, status: str) -> None:
        self.calls.append(("status", status))

    def of(self, kind: str) -> list[Any]:
        return [value for name, value in self.calls if name == kind]
