import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.models.table import Table
from saccade.pipelines.engines import tables
from saccade.pipelines.engines.tables import initial_rows


@given(st.integers(1, 40), st.data())
def test_initial_values_do_not_depend_on_the_cut(rows: int, data: st.DataObject) -> None:
    cut = sorted(data.draw(st.lists(st.integers(0, rows), max_size=4)))
    table = Table("t", rows, 3, ("f",), 0.5)
    block, tables.BLOCK = tables.BLOCK, 7
    try:
        whole = initial_rows(table, 1, 0, rows)
        parts = [initial_rows(table, 1, a, b) for a, b in zip([0, *cut], [*cut, rows], strict=True)]
    finally:
        tables.BLOCK = block
    assert torch.equal(torch.cat(parts), whole)
    assert whole.shape == (rows, 3)


def test_initial_values_have_the_deviation_and_differ_by_seed_and_name() -> None:
    table, other = (Table(name, 5000, 4, ("f",), 0.5) for name in "tu")
    values = initial_rows(table, 1, 0, 5000)
    assert abs(float(values.std()) - 0.5) < 0.01
    assert abs(float(values.mean())) < 0.02
    for others in (initial_rows(other, 1, 0, 5000), initial_rows(table, 2, 0, 5000)):
        assert not torch.isclose(values, others).all(1).any()
