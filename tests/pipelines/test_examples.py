import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.jagged import Jagged, Layout
from saccade.pipelines.examples import Examples, concatenate

Row = tuple[int, list[int]]
rows = st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=3)), max_size=5)


def examples(found: list[Row], first: int = 0) -> Examples:
    values = torch.tensor([i for _, items in found for i in items], dtype=torch.int64)
    lengths = torch.tensor([len(items) for _, items in found], dtype=torch.int64)
    label = torch.tensor([label for label, _ in found], dtype=torch.int64)
    return Examples(
        torch.arange(first, first + len(found)), {"label": label, "items": Jagged(values, Layout(lengths))}, lengths
    )


def plain(found: Examples) -> list[Row]:
    label, items = found.columns["label"], found.columns["items"]
    assert isinstance(label, torch.Tensor)
    assert isinstance(items, Jagged)
    return list(zip(label.tolist(), [i.tolist() for i in items.unpack()], strict=True))


@given(st.lists(rows, min_size=1, max_size=4), st.data())
def test_concatenate_and_take(parts: list[list[Row]], data: st.DataObject) -> None:
    whole = [row for part in parts for row in part]
    joined = concatenate([examples(part, 10) for part in parts])
    assert plain(joined) == whole
    assert joined.lengths.tolist() == [len(items) for _, items in whole]
    index = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=5)) if whole else []
    taken = joined.take(torch.tensor(index, dtype=torch.int64))
    assert plain(taken) == [whole[i] for i in index]
    assert taken.rows.tolist() == [joined.rows[i] for i in index]
    assert len(taken) == len(index)
