"""Missing values of series in the embedding of rows: what an indicator adds, and where there is none."""

import pytest
import torch

from lphm.nn.embeddings import RowEmbedding


def embedding_with_gaps(gaps: list[int], ragged: bool = False) -> RowEmbedding:
    torch.manual_seed(0)
    return RowEmbedding(6, 3, 4, members=2, ragged=ragged, gaps=gaps).double()


@pytest.mark.parametrize("copies", [1, 2])
def test_a_missing_entry_adds_the_vector_of_its_column(copies: int) -> None:
    embedding = embedding_with_gaps([0, 2])
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    x[0, 1, 0] = x[1, 2, 2] = x[2, 3] = x[3, 4, 1] = torch.nan
    vectors = torch.randn(2, 2, 4, dtype=torch.float64)
    embedding.missing.weight.data.copy_(vectors)
    plain = RowEmbedding(6, 3, 4, members=2).double()
    plain.load_state_dict({k: v for k, v in embedding.state_dict().items() if k != "missing.weight"})
    if copies > 1:  # as side_by_side repeats the parameters
        for parameter in [*embedding.parameters(), *plain.parameters()]:
            parameter.data = parameter.data.repeat(copies, *[1] * (parameter.dim() - 1))
    added = (embedding(x, copies) - plain(x.nan_to_num(), copies)).unflatten(0, (copies, 2))
    want = torch.zeros(4, 2, 8, 4, dtype=torch.float64)  # (N, members, rows, width)
    want[0, :, 1] = vectors[:, 0]
    want[1, :, 2] = vectors[:, 1]
    want[2, :, 3] = vectors.sum(1)  # column 1 has no vector
    torch.testing.assert_close(added, want.unflatten(0, (copies, -1)).transpose(1, 2))


def test_the_vectors_start_at_zero_and_there_are_none_without_gaps() -> None:
    with_gaps, without = embedding_with_gaps([1]), embedding_with_gaps([])
    assert set(with_gaps.state_dict()) - set(without.state_dict()) == {"missing.weight"}
    assert with_gaps.missing.weight.shape == (2, 1, 4)
    assert not with_gaps.missing.weight.any()
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    x[:, 2, 1] = torch.nan
    assert torch.equal(without(x), without(x.nan_to_num()))
    assert torch.equal(with_gaps(x), without(x))


def test_only_the_last_steps_without_any_value_come_after_the_end() -> None:
    embedding = embedding_with_gaps([0], ragged=True)
    x = torch.randn(3, 6, 3, dtype=torch.float64)
    x[0, 2:4] = x[1, 4:] = x[2, 5, :2] = torch.nan
    present = embedding.present(x, 1)
    assert present[0].all(dim=-1).tolist() == [True, False, True]
    assert present[1, 1].tolist() == [True] * 4 + [False] * 2 + [True] * 2  # the last two fill up
