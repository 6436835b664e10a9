"""Which split a row goes to."""

import pytest

from saccade.pipelines.errors import UserError
from saccade.pipelines.importing.parts import Division, part_folders, part_of


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("train.csv", "train"),
        ("training", "train"),
        ("train-clean-100", "train"),
        ("dev-clean", "valid"),
        ("val2017", "valid"),
        ("Validation", "valid"),
        ("valid", "valid"),
        ("test_2016.en", "test"),
        ("t10k-images-idx3-ubyte", "test"),
        ("testament.txt", None),
        ("valley", None),
        ("trains", None),
        ("my_train", None),
        ("", None),
    ],
)
def test_a_name_says_which_split_it_is(name: str, part: str | None) -> None:
    assert part_of(name) == part


def test_a_class_named_like_a_split_is_no_guess() -> None:
    assert part_folders("x", ["train/a", "val/a", "readme"]) == {"train": "train", "val": "valid"}
    assert part_folders("x", ["car/a", "plane/a"]) == {}
    with pytest.raises(UserError, match="x: train/ looks like a split, but car/ beside it doesn't"):
        part_folders("x", ["car/a", "train/a"])


def test_rows_stay_in_their_split_when_others_are_added() -> None:
    names = [f"{number}.wav" for number in range(4000)]
    small = Division(valid=0.1)
    drawn = {name: small.split(None, name) for name in names}
    counts = [list(drawn.values()).count(split) for split in ("train", "valid", "test")]
    assert 330 < counts[1] < 470
    assert counts[2] == 0
    assert {name: small.split("train", name) for name in names} == drawn
    assert {name: Division(valid=0.1, seed=1).split(None, name) for name in names} != drawn
    # A larger share takes more, and gives none back.
    larger = {name: Division(valid=0.2).split(None, name) for name in names}
    assert all(larger[name] == "valid" for name in names if drawn[name] == "valid")


def test_a_split_that_is_there_is_not_drawn_from() -> None:
    division = Division(valid=0.5, test=0.4)
    assert {division.split(part, str(n)) for part in ("valid", "test") for n in range(9)} == {"valid", "test"}
    with pytest.raises(UserError, match="x: has a test split of its own: leave out --test"):
        division.check("x", {"train", "test"})


@pytest.mark.parametrize("options", [{"valid": 1.0}, {"test": -0.1}, {"valid": 0.5, "test": 0.5}])
def test_shares_that_leave_nothing(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="--valid|--test"):
        Division(**options)
