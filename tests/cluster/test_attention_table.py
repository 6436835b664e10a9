"""docs/attention.md says of every backend what it says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.cluster.attention_table import Part, parts, refusals, table, without_cache, write
from saccade.models.attention.choice import AttentionChoice
from saccade.models.registry import entries

DOCS = Path(__file__).parents[2] / "docs" / "attention.md"
PARTS = parts()


def of_kind(kind: str) -> st.SearchStrategy[Part]:
    return st.sampled_from([part for part in PARTS if part.kind == kind])


def test_docs_are_up_to_date(tmp_path: Path) -> None:
    copy = tmp_path / "attention.md"
    copy.write_text(DOCS.read_text(encoding="utf-8"), encoding="utf-8")
    write(copy)
    message = "run: python -m saccade.cluster.attention_table docs/attention.md"
    assert copy.read_text(encoding="utf-8") == DOCS.read_text(encoding="utf-8"), message


def test_every_part_has_a_row() -> None:
    text = table()
    for kind in ("score", "normalizer", "mask", "position"):
        for entry in entries(kind):  # type: ignore[arg-type]
            assert f"| {entry.name} |" in text or entry.package != "saccade"


@settings(max_examples=60)
@given(of_kind("score"), of_kind("normalizer"), of_kind("mask"), of_kind("position"))
def test_a_backend_computes_a_layer_if_it_computes_each_of_its_parts(
    score: Part, normalizer: Part, mask: Part, position: Part
) -> None:
    """What the page says, which makes rows of single parts enough."""
    choice = AttentionChoice(
        score.choice.score, normalizer.choice.normalizer, mask.choice.masks, position.choice.positions
    )
    whole = refusals(Part("all", "all", choice, causal=mask.causal))
    alone = [refusals(part) for part in (score, normalizer, mask, position)]
    for backend, reason in whole.items():
        assert (reason is None) == all(each[backend] is None for each in alone)


def test_the_usual_layer_goes_by_every_backend_and_with_a_cache() -> None:
    usual = Part("usual", "usual")
    assert set(refusals(usual).values()) == {None}
    assert without_cache(usual) is None
    assert without_cache(replace(usual, causal=False)) == "looks ahead"
