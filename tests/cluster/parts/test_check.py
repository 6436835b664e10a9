"""What a job says about its network's parts: what is built of it, and what is refused before anything starts."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from saccade.cluster.job import Job, parse_job
from saccade.cluster.job.job import TASKS
from saccade.cluster.parts.check import check_parts
from saccade.cluster.parts.choose import choose_attention
from saccade.cluster.parts.options import SUPPLIED
from saccade.cluster.training.networks import network_of
from saccade.models.attention.choice import AttentionChoice
from saccade.models.attention.masks import AnyOf, Causal, First, Window
from saccade.models.attention.masks.mask import Mask
from saccade.models.attention.normalizers import Normalizer
from saccade.models.attention.positions import Rotation, TokenPosition
from saccade.models.attention.scores import Additive, Dot, Score
from saccade.models.encoder import Encoder
from saccade.models.jagged import Jagged
from saccade.models.registry import Choice, Kind, register
from saccade.pipelines.errors import UserError


def job(model: dict[str, Any] | None = None, task: str = "next_item", **sections: Any) -> Job:
    return parse_job({"task": task, "data": {"path": "x"}, "model": model or {}, **sections})


IMPRESSIONS = {
    "path": "x",
    "features": [{"column": "item"}, {"column": "genres", "type": "ids"}],
    "history": {"events": [{"column": "items", "target": "item"}]},
}
ENCODERS = [task for task in TASKS if task != "ctr"]
"""Tasks whose default model is made of attention blocks."""


def error_of(model: dict[str, Any], task: str = "next_item", **sections: Any) -> str:
    with pytest.raises(UserError) as caught:
        check_parts(job(model, task, **sections))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def attention(**keys: Any) -> dict[str, Any]:
    return {"attention": keys}


EVERY_PART = [
    *[attention(score=name) for name in ("dot", "general", "additive", "concat", "location_aware", "cosine")],
    *[attention(normalizer=name) for name in ("gumbel_softmax", "hard", "sparsemax", "entmax15", "sigmoid", "silu")],
    *[attention(masks=[name]) for name in ("causal", "window", "first")],
    *[attention(positions=[name]) for name in ("learned", "sinusoidal", "rotary", "alibi", "relative")],
    attention(positions=[], masks=["causal", {"name": "any", "of": ["first", {"name": "window", "before": 2}]}]),
    attention(key_heads=1, backend="reference"),
    {"block": "hstu"},
    {"block": {"name": "transformer", "norm": "post", "activation": "silu", "gated": True}},
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", [{}, *EVERY_PART], ids=str)
def test_every_part_fits_every_task(task: str, model: dict[str, Any]) -> None:
    if task == "ctr":
        check_parts(job({"name": "bst", **model}, task, data=IMPRESSIONS))
        if "block" not in model:
            check_parts(job({"name": "target_attention", **model}, task, data=IMPRESSIONS))
    else:
        check_parts(job(model, task))


def test_what_a_block_ignores_is_refused_in_click_models_too() -> None:
    said = error_of({"name": "bst", "block": "hstu", **attention(score="dot")}, "ctr", data=IMPRESSIONS)
    assert "model.attention.score has no effect" in said
    said = error_of({"name": "target_attention", **attention(score="dott")}, "ctr", data=IMPRESSIONS)
    assert said.startswith("model.attention.score: no score 'dott'")


def test_options_reach_the_parts() -> None:
    model = {
        "heads": 4,
        "block": {"name": "transformer", "norm": "post", "gated": True},
        "attention": {
            "score": {"name": "additive", "hidden": 24},
            "normalizer": {"name": "softmax", "temperature": 2},
            "masks": [{"name": "any", "of": ["first", {"name": "window", "before": 2}]}],
            "positions": ["sinusoidal", {"name": "relative", "buckets": 8, "bidirectional": False}],
            "key_heads": 2,
            "backend": "grouped",
        },
    }
    network = network_of(job(model, data={"path": "x", "max_length": 7}))()
    block = network.encoder.blocks[0]
    layer = block.attention.attention
    assert block.pre is False
    assert block.mlp.gated is True
    assert isinstance(layer.score, Additive)
    assert layer.score.vector.shape == (4, 24)
    assert layer.normalizer.temperature == 2.0
    assert layer.mask == Causal() & AnyOf([First(), Window(before=2)])
    assert [type(position).__name__ for position in network.positions] == ["SinusoidalPositions"]
    assert layer.biases[0].weight.shape == (8, 4)
    assert block.attention.key_heads == 2
    assert layer.backend == "grouped"


def test_parts_know_the_longest_example() -> None:
    for task, length in zip(ENCODERS, (9, 9, 5), strict=True):  # of recordings, two frames make a token
        given = job(attention(positions=["learned"]), task, data={"path": "x", "max_length": 9})
        assert network_of(given, classes=3)().positions[0].weight.shape == (length, 64)


def test_without_a_section_parts_are_the_tasks_own() -> None:
    for task, position in zip(ENCODERS, ("reversed_learned", "learned", "sinusoidal"), strict=True):
        choice = choose_attention(job({}, task).model.attention)
        assert choice == AttentionChoice(masks=[], positions=[Choice.of(position)])
        assert network_of(job({}, task)).keywords["block"] == Choice.of("transformer")


WRONG = [
    (attention(score="sclaed_dot"), "model.attention.score: no score 'sclaed_dot': choose one of additive, "),
    (attention(normalizer="sofmax"), "add the plug-in that brings it; did you mean softmax?"),
    (attention(masks=["causal", "windw"]), "model.attention.masks.1: no mask 'windw'"),
    (attention(positions=["rotery"]), "model.attention.positions.0: no position 'rotery'"),
    ({"block": "transfomer"}, "model.block: no block 'transfomer': choose one of "),
    ({"name": "sasrecs"}, "model.name: no model 'sasrecs': choose one of sasrec"),
    (
        attention(normalizer={"name": "softmax", "temprature": 2}),
        "model.attention.normalizer: normalizer softmax: no option 'temprature'; it takes temperature, soft_cap; did",
    ),
    (
        attention(masks=[{"name": "causal", "x": 2}]),
        "model.attention.masks.0: mask causal: no option 'x'; it takes none",
    ),
    (
        attention(normalizer={"name": "softmax", "temperature": "hot"}),
        "model.attention.normalizer.temperature='hot': expected a number",
    ),
    (attention(score={"name": "additive", "hidden": 3.5}), "model.attention.score.hidden=3.5: expected a whole number"),
    (attention(normalizer={"name": "hard", "straight_through": 1}), "straight_through=1: expected true or false"),
    (attention(score={"name": "additive", "dim": 3}), "model.attention.score.dim: not an option"),
    (
        {"block": {"name": "transformer", "norm": "posst"}},
        "model.block.norm='posst': expected pre or post; did you mean",
    ),
    (attention(masks=[{"name": "any", "of": ["frist"]}]), "model.attention.masks.0.of.0: no mask 'frist'"),
    (attention(masks=[{"name": "any", "of": [3]}]), "model.attention.masks.0.of.0=3: expected a name, or a section"),
    (attention(masks=[{"name": "any", "of": "first"}]), "model.attention.masks.0.of='first': expected a list"),
    (
        attention(masks=[{"name": "any", "of": [{"name": "window", "before": "far"}]}]),
        "model.attention.masks.0.of.0.before='far': expected a whole number",
    ),
    # What only constructors know.
    (attention(normalizer={"name": "softmax", "temperature": 0}), "model.attention.normalizer: softmax: temperature=0"),
    (
        attention(positions=[{"name": "relative", "buckets": 33}]),
        "model.attention.positions.0: position relative: buck",
    ),
    (
        {"dim": 30, "heads": 2, "attention": {"positions": [{"name": "rotary", "fraction": 2}]}},
        "positions.0: position ro",
    ),
    ({"block": {"name": "hstu", "backend": "flx"}}, "model.block: no attention backend 'flx'"),
    ({"block": "hstu", "dim": 33}, "model.block: dim=33 can't be split into heads=2"),
    # What only a batch shows.
    (attention(positions=["relative_time"]), "sasrec can't compute a batch of next_item: position relative_time needs"),
    (
        {"block": {"name": "hstu", "time_buckets": 9}},
        "can't compute a batch of next_item: position relative_time needs",
    ),
    (attention(masks=["block"]), "model: sasrec can't compute a batch of next_item: mask block needs"),
    # What a block wouldn't look at.
    (
        {"block": "hstu", **attention(score="cosine")},
        "model.attention.score has no effect: the block hstu makes its own",
    ),
    ({"block": "hstu", **attention(positions=["rotary"])}, "model.attention.positions has no effect"),
]


@pytest.mark.parametrize(("model", "says"), WRONG, ids=[says for _, says in WRONG])
def test_what_is_refused(model: dict[str, Any], says: str) -> None:
    message = error_of(model)
    assert says in message
    assert message.startswith("model")


def test_a_backend_that_cannot() -> None:
    on_cpu, on_gpu = {"engine": {"device": "cpu"}}, {"engine": {"device": "cuda"}}
    for model in (attention(backend="flex"), {"block": {"name": "hstu", "backend": "flex"}}):
        message = error_of(model, **on_cpu)
        assert "attention backend flex can't compute" in message
        assert "choose one of grouped, reference" in message
        check_parts(job(model, **on_gpu))


def test_a_check_draws_no_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check_parts(job())
    assert torch.equal(torch.rand(3), expected)


KNOWN: dict[str, set[str]] = {}
NAMES = ("attention", "block", "blocks", "classes", "dim", "dropout", "features")
NAMES += ("heads", "hidden", "key_heads", "mask", "max_length")


def recording(kind: Kind, name: str, base: type) -> None:
    """Register a class whose constructor takes all names there are, and notes which it is supplied with."""

    class Recording(base):  # type: ignore[misc]
        __signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in NAMES])

        def __init__(self, **given: Any) -> None:
            super().__init__()
            KNOWN[kind + name] = {argument for argument, value in given.items() if value is not None}

    register(kind, name)(Recording)


class Anything(Mask):
    """Allows all."""

    def allows(self, query: Any, key: Any) -> Tensor:
        return (query.position >= 0) & (key.position >= 0)


def test_supplied_names_are_those_that_arrive() -> None:
    class Normal(Normalizer):
        def weigh(self, scores: Tensor) -> Tensor:
            return scores.softmax(-1)

    class Added(TokenPosition):
        def forward(self, layout: Any) -> Tensor:
            return torch.zeros(layout.total, 1)

    class Turned(Rotation):
        def forward(self, tokens: Tensor, place: Any) -> Tensor:
            return tokens

    class Block(nn.Module):
        def forward(self, tokens: Jagged) -> Jagged:
            return tokens

    class Model(nn.Module):
        def forward(self, tokens: Jagged) -> Tensor:
            return torch.zeros(len(tokens), 3)

    recording("score", "records", Dot)
    recording("normalizer", "records", Normal)
    recording("mask", "records", Anything)
    recording("position", "records", Added)
    recording("position", "records_turned", Turned)
    recording("block", "records", Block)
    recording("model", "records", Model)
    parts = {"score": "records", "normalizer": "records", "masks": ["records"]}
    check_parts(job(attention(**parts, positions=["records", "records_turned"])))
    check_parts(job({"block": "records"}))
    check_parts(job({"name": "records"}, "speech_classification"))
    for kind in ("score", "normalizer", "block", "model"):
        # The mask is None where a model hides nothing.
        assert KNOWN[f"{kind}records"] | ({"mask"} if kind == "block" else set()) == SUPPLIED[kind]
    assert KNOWN["maskrecords"] == SUPPLIED["mask"]
    assert KNOWN["positionrecords"] == {"dim", "max_length"}
    assert KNOWN["positionrecords_turned"] == SUPPLIED["position"]


@register("model", "averages")
class Averages(nn.Module):
    """The mean of what came before."""

    def __init__(self, dim: int, dropout: float, decay: float = 0.5, norm: Literal["pre", "post"] = "pre") -> None:
        super().__init__()
        self.dim, self.decay, self.norm = dim, decay, norm
        self.output = nn.Linear(dim, dim)

    def forward(self, items: Jagged) -> Tensor:
        """[T, D] -> [T, D]."""
        hidden: Tensor = self.output(items.values * self.decay)
        return hidden


@register("model", "classifies")
class Classifies(nn.Module):
    """An encoder with attention's parts."""

    def __init__(
        self, dim: int, blocks: int, heads: int, hidden: int, dropout: float, classes: int, attention: AttentionChoice
    ) -> None:
        super().__init__()
        self.encoder = Encoder(dim, blocks, heads, hidden, dropout, attention=attention)
        self.classes = nn.Linear(dim, classes)

    def forward(self, tokens: Jagged) -> Tensor:
        """[T, D] -> [B, C]."""
        logits: Tensor = self.classes(self.encoder(tokens)[tokens.layout.last])
        return logits


def test_a_plugins_model_gets_what_it_names() -> None:
    given = job({"name": "averages", "dim": 6, "dropout": 0.5, "options": {"decay": 1}})
    check_parts(given)
    build = network_of(given)
    assert (build.func, build.keywords) == (Averages, {"dim": 6, "dropout": 0.5, "decay": 1.0})
    model = {"name": "classifies", "blocks": 3, **attention(score="cosine")}
    check_parts(job(model, "text_classification"))
    assert len(network_of(job(model, "text_classification"), 4)().encoder.blocks) == 3


WRONG_MODELS = [
    ({"name": "averags"}, "model.name: no model 'averags': choose one of sasrec, "),
    ({"name": "averags"}, "did you mean averages?"),
    (
        {"name": "averages", "options": {"decoy": 2}},
        "model.options: model averages: no option 'decoy'; it takes decay, ",
    ),
    ({"name": "averages", "options": {"decay": "slow"}}, "model.options.decay='slow': expected a number"),
    (
        {"name": "averages", "options": {"norm": "prae"}},
        "model.options.norm='prae': expected pre or post; did you mean",
    ),
    (
        {"name": "averages", "options": {"dim": 2}},
        "model.options.dim: not an option, it comes from the rest of the job",
    ),
    ({"name": "averages", "heads": 4}, "model.heads has no effect: the model averages doesn't take it"),
    ({"name": "averages", **attention(score="dot")}, "model.attention has no effect: the model averages doesn't take"),
    ({"name": "classifies"}, "model.name: "),
]


@pytest.mark.parametrize(("model", "says"), WRONG_MODELS, ids=[says for _, says in WRONG_MODELS])
def test_what_is_refused_of_a_plugins_model(model: dict[str, Any], says: str) -> None:
    assert says in error_of(model)


def test_a_model_with_the_wrong_result() -> None:
    message = error_of({"name": "averages", "dim": 6}, "text_classification")
    assert message == "model.name: averages gives [6, 6] for [examples, classes] = [2, 3]: see docs/plugins.md"


@register("score", "of_the_wrong_kind")
class OfTheWrongKind(nn.Module):
    """No score."""


@register("score", "needs_a_width")
class NeedsAWidth(Dot):
    """With an option that has no default."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, {}[width])  # type: ignore[index]


@register("score", "breaks")
class Breaks(Score):
    """Raises in a batch."""

    def forward(self, query: Tensor, key: Tensor, previous: Tensor | None = None) -> Tensor:
        return query @ key


def test_plugins_that_are_wrong_themselves() -> None:
    message = error_of(attention(score="of_the_wrong_kind"))
    assert message.startswith("model.attention.score: the score of_the_wrong_kind of ")
    assert message.endswith("is no Score: OfTheWrongKind must be one")
    assert error_of(attention(score="needs_a_width")) == (
        "model.attention.score.width is missing: the score needs_a_width needs it"
    )
    message = error_of(attention(score={"name": "needs_a_width", "width": 3}))
    assert "model.attention.score: the score needs_a_width of " in message
    assert "can't be made: KeyError: 3 (" in message
    line = f"{__file__}:{Breaks.forward.__code__.co_firstlineno + 1}"
    message = error_of(attention(score="breaks"))
    assert message.startswith("model: sasrec can't compute a batch of next_item: RuntimeError: ")
    assert message.endswith(f"({line})")
    check_parts(job(attention(score="breaks"), engine={"device": "cuda"}))  # it may work there
