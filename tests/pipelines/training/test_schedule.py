import pytest

from saccade.pipelines.training.schedule import Schedule


@pytest.mark.parametrize(
    ("kind", "at_half", "at_end"), [("constant", 1.0, 1.0), ("linear", 0.55, 0.1), ("cosine", 0.55, 0.1)]
)
def test_course(kind: str, at_half: float, at_end: float) -> None:
    schedule = Schedule(kind, final_fraction=0.1)  # type: ignore[arg-type]
    assert [schedule.factor(7, fraction) for fraction in (0, 0.5, 1, 1.2)] == pytest.approx(
        [1, at_half, at_end, at_end]
    )


def test_warmup_rises_to_one_and_multiplies_the_course() -> None:
    assert [Schedule(warmup_steps=4).factor(step, 0.5) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert Schedule("linear", warmup_steps=4).factor(1, 0.5) == pytest.approx(0.25)
