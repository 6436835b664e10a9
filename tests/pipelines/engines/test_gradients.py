import math

import pytest
import torch

from saccade.pipelines.engines.gradients import FIRST_SCALE, GROWTH_INTERVAL, GradientScaling, squares


def test_a_finite_step_is_unscaled_and_clipped() -> None:
    scaling = GradientScaling("fp16", 2.0)
    verdict = scaling.judge(1.0, 8.0 * FIRST_SCALE)
    assert (verdict.outcome, verdict.norm) == ("stepped", 8.0)
    assert verdict.coefficient == pytest.approx(2 / 8 / FIRST_SCALE)
    assert scaling.judge(1.0, 1.0 * FIRST_SCALE).coefficient == 1 / FIRST_SCALE
    assert GradientScaling("fp32", None).judge(1.0, 8.0).coefficient == 1.0


def test_clipping_is_torchs() -> None:
    gradients = [torch.randn(3, 4), torch.randn(5)]
    parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    norm = torch.nn.utils.clip_grad_norm_(parameters, 0.7)
    verdict = GradientScaling("fp32", 0.7).judge(0.0, math.sqrt(squares([*gradients, None, torch.zeros(0)])))
    assert verdict.norm == pytest.approx(float(norm))
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient * verdict.coefficient)


def test_the_loss_scale_falls_at_overflows_and_rises_after_many_good_steps() -> None:
    scaling = GradientScaling("fp16", None)
    assert scaling.judge(1.0, math.inf).outcome == "overflow"
    assert scaling.judge(1.0, math.nan).outcome == "overflow"
    assert scaling.scale == FIRST_SCALE / 4
    for _ in range(GROWTH_INTERVAL):
        assert scaling.judge(1.0, 1.0).outcome == "stepped"
    assert scaling.scale == FIRST_SCALE / 2


def test_what_no_loss_scale_can_mend_is_not_an_overflow() -> None:
    scaling = GradientScaling("fp16", None)
    assert scaling.judge(math.nan, math.nan).outcome == "not_finite"
    assert scaling.scale == FIRST_SCALE
    outcomes = [scaling.judge(1.0, math.nan).outcome for _ in range(18)]
    assert outcomes == ["overflow"] * 16 + ["not_finite"] * 2
    assert GradientScaling("bf16", None).judge(1.0, math.inf).outcome == "not_finite"


def test_it_goes_on_from_a_checkpoint() -> None:
    left, right = GradientScaling("fp16", None), GradientScaling("fp16", None)
    for norm in (1.0, math.inf, 1.0, 1.0):
        left.judge(1.0, norm)
    right.load(left.state())
    assert vars(left) == vars(right)
    right.load({})
    assert (right.scale, right.good_steps) == (FIRST_SCALE, 0)
    assert GradientScaling("fp32", None).state() == {}
