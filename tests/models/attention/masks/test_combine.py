"""A list of masks as one."""

from saccade.models.attention.masks import Both, Causal, First, Window, combine


def test_all_must_allow() -> None:
    assert combine([]) is None
    assert combine([Causal()]) == Causal()
    assert combine([Causal(), Window(2), First()]) == Both(Both(Causal(), Window(2)), First())
