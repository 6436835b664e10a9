"""What the seam and padding cost: SASRec on one worker, by engine, side by side.

Trains the same model on the same synthesized histories with the ReferenceEngine (plain torch), with the HybridEngine
(TorchRec tables, DeepSpeed network, a gloo group of one process) and, with ``--padded``, with torch's own padded
Transformer. The contestants take turns step by step, so what else the machine does falls on all of them alike, and
none of them waits for data. Figures are medians over the steps, in trained events (real tokens) a second.

    python benchmarks/sasrec_engines.py --padded --json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from saccade.models.jagged import Jagged, Layout
from saccade.models.losses.negatives import shared_negatives
from saccade.models.losses.sampled_softmax import sampled_softmax
from saccade.models.recommendation.sasrec import SASRec
from saccade.pipelines.batch import Batch
from saccade.pipelines.engines.engine import Engine
from saccade.pipelines.engines.reference import ReferenceEngine
from saccade.pipelines.examples import Examples
from saccade.pipelines.optimizers import NetworkOptimizer, TableOptimizer
from saccade.pipelines.order.cut import cut
from saccade.pipelines.parquet.source import Source
from saccade.pipelines.seeds import generator
from saccade.pipelines.synthesize import write_histories
from saccade.pipelines.tasks.negatives import ScoredLoss
from saccade.pipelines.tasks.next_item import NextItem

CPU = torch.device("cpu")
ITEMS = 3000
NETWORK = NetworkOptimizer("adamw", 1e-3, (0.9, 0.98))
TABLE = TableOptimizer("adagrad", 0.05)

Step = Sequence[Batch]


class PaddedSasRec(nn.Module):
    """The same model as torch's own layers build it: a batch padded to its longest history, with masks."""

    def __init__(self, width: argparse.Namespace) -> None:
        super().__init__()
        self.items = nn.Embedding(ITEMS + 1, width.dim)
        self.positions = nn.Embedding(width.max_length, width.dim)
        layer = nn.TransformerEncoderLayer(
            width.dim, width.heads, width.hidden, width.dropout, "gelu", batch_first=True, norm_first=True
        )
        layer.self_attn.dropout = 0.0  # as in SASRec here, whose attention weights have no dropout
        self.encoder = nn.TransformerEncoder(
            layer, width.blocks, norm=nn.LayerNorm(width.dim), enable_nested_tensor=False
        )
        self.dropout = nn.Dropout(width.dropout)
        network = [p for name, p in self.named_parameters() if name != "items.weight"]
        self.optimizers = [
            NETWORK.build(network),
            torch.optim.Adagrad([self.items.weight], lr=TABLE.learning_rate, eps=TABLE.eps),
        ]

    def loss(self, batch: Batch) -> Tensor:
        """The summed sampled softmax of a micro-batch."""
        layout = batch.inputs["layout"]
        assert isinstance(layout, Layout)
        # A history is one item longer than the inputs that it gives.
        histories = Jagged(batch.lookups["history"], Layout(layout.lengths + 1)).unpack()
        padded = pad_sequence(histories, batch_first=True)
        length = padded.shape[1] - 1
        real = torch.arange(length) < layout.lengths[:, None]
        embedded = self.items(padded)
        tokens = self.dropout(embedded[:, :-1] * embedded.shape[-1] ** 0.5 + self.positions(torch.arange(length)))
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden = self.encoder(tokens, mask=future, src_key_padding_mask=~real)[real]
        targets, drawn = padded[:, 1:][real], batch.lookups["negatives"]
        positive = (hidden * embedded[:, 1:][real]).sum(-1)
        return sampled_softmax(positive, shared_negatives(hidden, self.items(drawn), targets, drawn))

    def step(self, batches: Step) -> float:
        """One optimizer step."""
        targets = sum(batch.targets for batch in batches)
        total = 0.0
        for batch in batches:
            loss = self.loss(batch) / targets
            loss.backward()
            total += float(loss.detach())
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return total


def make_task(width: argparse.Namespace) -> NextItem:
    """SASRec with sampled softmax."""
    return NextItem(
        history="history",
        max_length=width.max_length,
        items=ITEMS + 1,
        build=partial(
            SASRec,
            dim=width.dim,
            blocks=width.blocks,
            heads=width.heads,
            hidden=width.hidden,
            dropout=width.dropout,
            max_length=width.max_length,
        ),
        dim=width.dim,
        standard_deviation=0.02,
        loss=ScoredLoss(width.negatives, True, sampled_softmax),
        ks=[10],
    )


def make_steps(arguments: argparse.Namespace, task: NextItem, folder: Path) -> tuple[list[Step], list[Step]]:
    """The steps' batches cut by length to a token budget, and with rows as they come; none of them is timed."""
    users = 2 * (arguments.steps + arguments.warmup) * arguments.micro_batches * arguments.tokens // arguments.length
    write_histories(
        folder / "data", users=users, items=ITEMS, clusters=30, mean_length=arguments.length, seed=0, files=1
    )
    source = Source.open(str(folder / "data"), "train", task.columns)
    examples = task.encode(source.read(0, source.rows), "train")
    by_length = cut(examples.lengths, arguments.tokens, generator("cut"))
    rows = max(1, round(len(examples) / len(by_length)))
    as_they_come = list(torch.randperm(len(examples), generator=generator("rows")).split(rows))
    return _steps(arguments, task, examples, by_length), _steps(arguments, task, examples, as_they_come)


def _steps(arguments: argparse.Namespace, task: NextItem, examples: Examples, pieces: Sequence[Tensor]) -> list[Step]:
    count = arguments.micro_batches
    batches = [
        task.collate(examples.take(piece), "train", generator(index))
        for index, piece in enumerate(pieces[: count * (arguments.steps + arguments.warmup)])
    ]
    return [batches[begin : begin + count] for begin in range(0, len(batches), count)]


def make_hybrid(task: NextItem, arguments: argparse.Namespace, folder: Path) -> Engine:
    """The hybrid engine over this process alone."""
    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1", DS_ACCELERATOR="cpu")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    from saccade.plugins.ray.quiet import silence

    silence()
    from saccade.plugins.hybrid.engine import HybridEngine

    return HybridEngine(
        task,
        optimizer=NETWORK,
        table_optimizers={"items": TABLE},
        seed=0,
        device=CPU,
        lanes=arguments.micro_batches,
        zero_stage=arguments.zero_stage,
        shardings={"items": "row"},
    )


def events(step: Step) -> int:
    """Trained tokens of a step."""
    return sum(batch.events for batch in step)


def padding(step: Step) -> float:
    """The part of a step's places that would be padding."""
    layouts = [layout for batch in step if isinstance(layout := batch.inputs["layout"], Layout)]
    return 1 - sum(layout.total for layout in layouts) / sum(len(layout) * layout.max_length for layout in layouts)


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train them in turns and measure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = make_task(arguments)
        by_length, as_they_come = make_steps(arguments, task, folder)

        def with_engine(engine: Engine) -> Callable[[Step], float]:
            return lambda step: engine.step(step, sum(batch.targets for batch in step), 1.0).loss

        reference = ReferenceEngine(task, optimizer=NETWORK, table_optimizers={"items": TABLE}, seed=0, device=CPU)
        contestants = {
            "reference": (with_engine(reference), by_length),
            "hybrid": (with_engine(make_hybrid(task, arguments, folder)), by_length),
        }
        if arguments.padded:
            contestants["padded, cut by length"] = (PaddedSasRec(arguments).step, by_length)
            contestants["padded, rows as they come"] = (PaddedSasRec(arguments).step, as_they_come)

        rates: dict[str, list[float]] = {contestant: [] for contestant in contestants}
        losses: dict[str, list[float]] = {contestant: [] for contestant in contestants}
        for index in range(min(len(by_length), len(as_they_come))):
            order = list(contestants.items())
            for contestant, (take, steps) in order if index % 2 else order[::-1]:
                began = time.perf_counter()
                losses[contestant].append(take(steps[index]))
                if index >= arguments.warmup:
                    rates[contestant].append(events(steps[index]) / (time.perf_counter() - began))
        torch.distributed.destroy_process_group()

    medians = {contestant: statistics.median(values) for contestant, values in rates.items()}
    ratios = {
        contestant: statistics.median(a / b for a, b in zip(values, rates["reference"], strict=True))
        for contestant, values in rates.items()
    }
    differences = [abs(a - b) for a, b in zip(losses["hybrid"], losses["reference"], strict=True)]
    return {
        "threads": torch.get_num_threads(),
        "steps": len(rates["reference"]),
        "events_per_step": round(statistics.fmean(map(events, by_length))),
        "events_per_second": {contestant: round(value, 1) for contestant, value in medians.items()},
        "times_reference": {contestant: round(value, 3) for contestant, value in ratios.items()},
        "largest_loss_difference": max(differences),
        "padding": {
            "cut by length": round(statistics.fmean(map(padding, by_length)), 3),
            "rows as they come": round(statistics.fmean(map(padding, as_they_come)), 3),
        },
    }


def main() -> None:
    """Read the arguments, compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="timed steps")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them")
    parser.add_argument("--threads", type=int, default=1, help="compute threads")
    parser.add_argument("--tokens", type=int, default=2048, help="token budget of a micro-batch")
    parser.add_argument("--micro-batches", type=int, default=2, help="micro-batches of a step")
    parser.add_argument("--length", type=int, default=60, help="mean length of a history")
    parser.add_argument("--max-length", type=int, default=200, help="items of a history that the model sees")
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--negatives", type=int, default=256)
    parser.add_argument("--zero-stage", type=int, default=1, choices=range(4))
    parser.add_argument("--padded", action="store_true", help="compare with torch's padded Transformer too")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = compare(arguments)
    out = sys.stderr if arguments.json else sys.stdout
    for contestant, rate in result["events_per_second"].items():
        times = result["times_reference"][contestant]
        print(f"{contestant:<28}{rate:>10,.0f} events/s   {times:.2f} x reference", file=out)
    parts = ", ".join(f"{part:.0%} {how}" for how, part in result["padding"].items())
    print(f"{result['steps']} steps of {result['events_per_step']} events, {result['threads']} threads", file=out)
    print(f"padding: {parts}", file=out)
    print(f"largest difference of the engines' losses: {result['largest_loss_difference']:.1e}", file=out)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
