"""What a run predicts for a file or a directory, as tables that are ready to be written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from lphm.data.formulas import guard_formulas
from lphm.data.inputs import Inputs, map_directory, read_inputs
from lphm.data.progress import Progress, shifted
from lphm.data.targets import ClassTarget, free_name
from lphm.data.unknown import UnknownCategories
from lphm.data.words import word
from lphm.learn.run import Run


@dataclass(frozen=True)
class Predictions:
    """The columns that are kept, then those of ``Run.predict``, a row for every sample.

    A column that is kept has ``_`` behind its name if the predictions have one of that name.
    """

    run: Run
    keep: Sequence[str] = ()
    spreadsheet: bool = False  # whether text that a spreadsheet would run is guarded
    unknown: UnknownCategories = field(default_factory=UnknownCategories)  # in what was predicted so far

    def of(self, path: Path, progress: Progress | None = None) -> Iterator[pd.DataFrame]:
        """The predictions for a file, or for a directory of Parquet files, row group by row group.

        Raises:
            InputError: the samples are not like those of the training, or a column is missing.
        """

        def predicted(inputs: Inputs) -> pd.DataFrame:
            return self._table(inputs, progress)

        schema, keep = self.run.config.input, list(dict.fromkeys(self.keep))
        if path.is_dir():
            yield from map_directory(path, schema, predicted, keep)
        else:
            yield predicted(read_inputs(path, schema, keep))

    def _table(self, inputs: Inputs, progress: Progress | None) -> pd.DataFrame:
        if inputs.total:
            progress = shifted(progress, inputs.before, inputs.total)
        predicted, beside = self.run.predict(inputs.samples, progress), inputs.beside
        self.unknown.add(inputs.samples, self.run.config.input)
        target = self.run.config.target
        if isinstance(target, ClassTarget) and len({type(each) for each in target.classes}) > 1:
            predicted.isetitem(0, predicted.iloc[:, 0].map(word))  # one type, also where a part has one class
        for name in reversed(beside.columns):
            predicted.insert(0, free_name(name, list(predicted)), beside[name].array)
        return guard_formulas(predicted) if self.spreadsheet else predicted
