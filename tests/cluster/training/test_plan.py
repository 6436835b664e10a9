from saccade.cluster.training.plan import plan_table


def part(table: str, sharding: str, rank: int, elements: int) -> dict[str, object]:
    return {"table": table, "sharding": sharding, "rank": rank, "elements": elements, "bytes": elements * 8}


def test_every_table_has_a_line_and_every_rank_a_column() -> None:
    mib = 2**17
    plan = [part("items", "row", 0, 3 * mib), part("items", "row", 1, 2 * mib), part("users", "table", 1, mib)]
    assert plan_table(plan, 2) == [
        "sharding of the tables, in MiB of weights and optimizer state:",
        "table  elements  sharding  parts  rank 0  rank 1",
        "items   655,360  row           2    3.00    2.00",
        "users   131,072  table         1    0.00    1.00",
        "all                                 3.00    3.00",
    ]


def test_of_many_ranks_the_least_and_the_most_are_shown() -> None:
    lines = plan_table([part("items", "row", rank, 2**17 * (rank + 1)) for rank in range(64)], 64)
    assert lines[1].split() == ["table", "elements", "sharding", "parts", "least", "most"]
    assert lines[2].split()[-2:] == ["1.00", "64.00"]


def test_a_model_without_tables_has_no_plan() -> None:
    assert plan_table([], 2) == []
