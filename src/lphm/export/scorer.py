"""All that a run does between the cells of a table and its answer, in operators on tensors."""

import copy

import torch
from torch import Tensor, nn

from lphm.data.conversions import DateFormat
from lphm.data.dates import DatePart
from lphm.data.schema import FeatureSchema, GridSchema, SeriesSchema
from lphm.data.targets import NumberTarget
from lphm.export.columns import Column
from lphm.learn.run import Run

DAY, HOUR = 86400, 3600


class Scorer(nn.Module):
    """A run as a module: the encoding, the members, their mean, and the answer.

    Shape:
        a tensor ``(N, *column.shape)`` for each column, float64, or int64 for a category: its code; to
        ``prediction`` ``(N,)`` in float64, or to ``label`` ``(N,)``, the number of the most probable class,
        and ``probabilities`` ``(N, classes)``.

    Args:
        run: what is exported.
        columns: its inputs.
    """

    def __init__(self, run: Run, columns: list[Column]) -> None:
        super().__init__()
        schema, self.target = run.config.input, run.config.target
        self.encoder = (
            FeatureEncoder(schema, columns) if isinstance(schema, FeatureSchema) else ArrayEncoder(schema)
        )
        self.network = copy.deepcopy(run.network).eval()

    def forward(self, *columns: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Score every sample."""
        combined = self.target.combine(self.network(self.encoder(columns)))
        if isinstance(self.target, NumberTarget):
            return combined[:, 0].double() * self.target.std + self.target.mean
        probabilities = combined.softmax(dim=-1)
        return probabilities.argmax(dim=-1), probabilities


class ArrayEncoder(nn.Module):
    """Series or images ``(N, rows, columns)``, standardised as their schema does."""

    mean: Tensor
    std: Tensor

    def __init__(self, schema: SeriesSchema | GridSchema) -> None:
        super().__init__()
        self.fills = isinstance(schema, GridSchema)  # with zeros; gaps of series are for the network
        scales = [schema] if isinstance(schema, GridSchema) else schema.channels
        self.register_buffer("mean", torch.tensor([each.mean for each in scales], dtype=torch.float64))
        self.register_buffer("std", torch.tensor([each.std for each in scales], dtype=torch.float64))

    def forward(self, columns: tuple[Tensor, ...]) -> Tensor:
        """Encode the one tensor."""
        scaled = ((columns[0] - self.mean) / self.std).float()
        return scaled.nan_to_num() if self.fills else scaled


class FeatureEncoder(nn.Module):
    """Columns ``(N, 1)`` to ``(N, features)``: numbers, standardised, then codes of categories."""

    mean: Tensor
    std: Tensor
    offset: Tensor
    most: Tensor

    def __init__(self, schema: FeatureSchema, columns: list[Column]) -> None:
        super().__init__()
        place = {column.name: i for i, column in enumerate(columns)}
        parts: dict[str, tuple[int, DatePart | None]] = {name: (i, None) for name, i in place.items()}
        for name, conversion in schema.conversions.items():
            if isinstance(conversion, DateFormat) and name in place:
                made = zip(conversion.names(name), conversion.parts, strict=True)
                parts |= {label: (place[name], part) for label, part in made}
        self.numbers = [parts[column.name] for column in schema.numeric]
        self.codes = [place[column.name] for column in schema.categorical]
        sizes = [len(column.categories) + 1 for column in schema.categorical]
        offsets = [sum(sizes[:i]) for i in range(len(sizes))]
        scales = [(column.mean, column.std) for column in schema.numeric]
        mean, std = torch.tensor(scales, dtype=torch.float64).view(-1, 2).T
        self.register_buffer("mean", mean.contiguous())
        self.register_buffer("std", std.contiguous())
        self.register_buffer("offset", torch.tensor(offsets))
        self.register_buffer("most", torch.tensor(sizes))

    def forward(self, columns: tuple[Tensor, ...]) -> Tensor:
        """Encode the tensors of all columns."""
        encoded = []
        if self.numbers:
            numbers = [
                columns[i] if part is None else date_part(columns[i], part) for i, part in self.numbers
            ]
            encoded.append(((torch.cat(numbers, dim=1) - self.mean) / self.std).float())
        if self.codes:
            codes = torch.cat([columns[i] for i in self.codes], dim=1)
            known = (codes > 0) & (codes < self.most)
            encoded.append((torch.where(known, codes, 0) + self.offset).float())
        return torch.cat(encoded, dim=1)


def date_part(seconds: Tensor, part: DatePart) -> Tensor:
    """A part of each date, as ``lphm.data.dates.date_part``, from seconds since 1970; ``nan`` stays.

    Years begin in March here, so that the day that some have more is their last. Days are counted in the 400
    years after which the calendar repeats itself, 146,097 days, which start on 1 March of the year 0.
    """
    day = torch.floor(seconds / DAY)  # since 1970
    match part:
        case "days":
            return seconds / DAY
        case "hour":
            return torch.floor((seconds - day * DAY) / HOUR)
        case "weekday":
            return day + 3 - 7 * torch.floor((day + 3) / 7)  # 1970 began on a Thursday
    day = day + 719468  # since 1 March of the year 0
    cycles = torch.floor(day / 146097)
    day = day - 146097 * cycles
    leap_days = torch.floor(day / 1460) - torch.floor(day / 36524) + torch.floor(day / 146096)
    year = torch.floor((day - leap_days) / 365)
    day = day - (365 * year + torch.floor(year / 4) - torch.floor(year / 100))  # since 1 March
    month = torch.floor((5 * day + 2) / 153)  # since March; five months have 153 days
    match part:
        case "day":
            return day - torch.floor((153 * month + 2) / 5) + 1
        case "month":
            return month + 3 - 12 * (month >= 10)
    return 400 * cycles + year + (month >= 10)
