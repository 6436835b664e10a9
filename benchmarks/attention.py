"""Attention over sequences of different lengths, forward and backward: padded, bucketed, nested, Saccade's.

    python benchmarks/attention.py                  # the table: time and peak memory on five profiles of lengths
    python benchmarks/attention.py --scaling        # time and memory from 10^4 to 10^6 tokens at the same lengths
    python benchmarks/attention.py --calibrate      # the constants of models/attention/backends/grouped.py
    python benchmarks/attention.py --json           # the table, and a JSON object as the last line

The contestants take turns in one process, so that what else the machine does falls on all alike; a figure is the median
over the rounds, a speed-up the median of the rounds' ratios. The lengths are drawn from quantiles of public data sets.
Queries, keys and values are given in each contestant's own best form (padded ones are padded before the clock runs):
only attention is timed, with masks and index work made once for four layers, and with Saccade's gathers and scatters.
Whole layers include their projections: there a padded layer pays for its padding twice.

- padded: scaled_dot_product_attention over all examples padded to the longest, with a mask.
- bucketed: the same in eight buckets of as many examples each, cut by length.
- nested: torch's jagged NestedTensor, which has no causal mask on a CPU.
- grouped: Saccade's backend.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

from saccade.models.attention.attention import Attention
from saccade.models.attention.masks import Causal
from saccade.models.attention.multihead import MultiHeadAttention
from saccade.models.attention.normalizers.sparsemax import Sparsemax
from saccade.models.jagged import Jagged, Layout

QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995, 1.0)
BUCKETS = 8
LAYERS = 4
"""Layers that a batch goes through, so that masks and index work count once for so many; figures are of one layer."""

Contestant = Callable[[], None]


@dataclass(frozen=True)
class Profile:
    """A way in which lengths are spread.

    Attributes:
        name: of the data that it is drawn from.
        lengths: at QUANTILES; between them the quantile function is straight.
        longest: sequences are cut to it.
        examples: in a batch.
        causal: whether the data's usual model is.
    """

    name: str
    lengths: tuple[int, ...]
    longest: int
    examples: int
    causal: bool

    def draw(self, rng: numpy.random.Generator) -> Tensor:
        """[examples] int64."""
        evenly = (numpy.arange(self.examples) + rng.random(self.examples)) / self.examples  # the tail is always there
        drawn = rng.permutation(numpy.interp(evenly, QUANTILES, self.lengths))
        return torch.from_numpy(drawn.round().astype(numpy.int64)).clamp(max=self.longest)


MOVIELENS = (18, 20, 27, 44, 96, 207, 400, 688, 1045, 2277)
PROFILES = (
    Profile("ml1m, latest 200", MOVIELENS, 200, 128, True),
    Profile("ml1m, whole histories", MOVIELENS, 2277, 64, True),
    Profile("multi30k, words", (3, 6, 8, 9, 11, 14, 17, 20, 25, 37), 37, 1024, False),
    Profile("fsdd, frames", (14, 17, 26, 32, 40, 49, 59, 70, 98, 226), 226, 256, False),
    Profile("long tail to 4096", (4, 6, 16, 40, 100, 250, 600, 1400, 3000, 4096), 4096, 32, True),
)


class Attending:
    """One batch's queries, keys and values, in every contestant's form."""

    def __init__(self, lengths: Tensor, causal: bool, heads: int, dim: int) -> None:
        self.lengths, self.causal, self.heads, self.dim = lengths, causal, heads, dim
        total = int(lengths.sum())
        self.packed = torch.randn(total, 3, heads, dim)
        self.fill = total / (len(lengths) * int(lengths.max()))

    def contestants(self) -> dict[str, Contestant]:
        """Each takes one forward and one backward pass."""
        everyone = torch.arange(len(self.lengths))
        by_length = self.lengths.argsort()
        found = {
            "padded": self._padded([everyone]),
            "bucketed": self._padded(list(by_length.tensor_split(BUCKETS))),
            "grouped": self.ours(),
        }
        if not self.causal:
            found["nested"] = self._nested()
        return found

    def ours(self) -> Contestant:
        """Saccade's attention, by the backend that it chooses itself."""
        attention = Attention(mask=Causal() if self.causal else None)
        packed = self.packed.clone().requires_grad_()
        gradient = torch.ones(len(packed), self.heads, self.dim)

        def run() -> None:
            layout = Layout(self.lengths)  # made anew: its index work is timed, once a batch
            for _ in range(LAYERS):
                query, key, value = packed.unbind(1)
                attended = attention(Jagged(query, layout), Jagged(key, layout), value)
                torch.autograd.grad(attended, packed, gradient)

        return run

    def _padded(self, buckets: Sequence[Tensor]) -> Contestant:
        examples = self.packed.split(self.lengths.tolist())
        inputs = []
        for bucket in buckets:
            padded = pad_sequence([examples[i] for i in bucket.tolist()], batch_first=True)
            q, k, v = (x.contiguous().requires_grad_() for x in padded.permute(2, 0, 3, 1, 4).unbind(0))
            inputs.append((q, k, v, torch.ones_like(q), self.lengths[bucket]))

        def run() -> None:
            for q, k, v, gradient, lengths in inputs:
                mask = (torch.arange(q.shape[2]) < lengths[:, None])[:, None, None, :]
                if self.causal:
                    mask = mask & torch.ones(q.shape[2], q.shape[2], dtype=torch.bool).tril()
                for _ in range(LAYERS):
                    attended = scaled_dot_product_attention(q, k, v, attn_mask=mask)
                    torch.autograd.grad(attended, (q, k, v), gradient)

        return run

    def _nested(self) -> Contestant:
        offsets = Layout(self.lengths).offsets
        q, k, v = (x.contiguous().requires_grad_() for x in self.packed.unbind(1))
        gradient = torch.ones_like(q)

        def run() -> None:
            for _ in range(LAYERS):
                heads = (torch.nested.nested_tensor_from_jagged(x, offsets).transpose(1, 2) for x in (q, k, v))
                attended = scaled_dot_product_attention(*heads).transpose(1, 2).values()
                torch.autograd.grad(attended, (q, k, v), gradient)

        return run

    def layers(self) -> dict[str, Contestant]:
        """Whole layers with their projections: torch's own, padded, and Saccade's."""
        width = self.heads * self.dim
        tokens = torch.randn(int(self.lengths.sum()), width)
        theirs = nn.MultiheadAttention(width, self.heads, batch_first=True, bias=False)
        ours = MultiHeadAttention.from_torch(theirs, Attention(mask=Causal() if self.causal else None))
        padded = pad_sequence(list(tokens.split(self.lengths.tolist())), batch_first=True)
        longest = padded.shape[1]
        behind = torch.arange(longest) >= self.lengths[:, None]
        future = torch.ones(longest, longest, dtype=torch.bool).triu(1) if self.causal else None

        def run_theirs() -> None:
            attended = theirs(padded, padded, padded, attn_mask=future, key_padding_mask=behind, need_weights=False)[0]
            attended.sum().backward()

        def run_ours() -> None:
            ours(Jagged(tokens, Layout(self.lengths))).sum().backward()

        return {"torch layer, padded": run_theirs, "Saccade layer": run_ours}


def take_turns(contestants: Mapping[str, Contestant], rounds: int, layers: int = LAYERS) -> dict[str, list[float]]:
    """Milliseconds of a layer of each, round by round.

    Each turn is taken twice, and the second counts: a training takes the same step again and again, and finds memory
    as its own last step left it, not another contestant's.
    """
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            began = time.perf_counter()
            run()
            took[name].append(1e3 * (time.perf_counter() - began) / layers)
    return took


def peak_memory(run: Contestant) -> float | None:
    """MiB by which the process grows while it runs; None where the system doesn't tell (Linux does)."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        run()
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before = _kilobytes(status, "VmRSS")
        clear.write_text("5")  # the peak starts anew
        run()
        return (_kilobytes(status, "VmHWM") - before) / 1024
    except OSError:
        return None


def _kilobytes(status: Path, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", status.read_text())
    assert found
    return int(found[1])


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def table(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Print every profile's figures, and return what ``--json`` shows."""
    rng = numpy.random.default_rng(arguments.seed)
    results: list[dict[str, object]] = []
    for profile in PROFILES:
        lengths = profile.draw(rng)
        batch = Attending(lengths, profile.causal, arguments.heads, arguments.dim)
        contestants = batch.contestants()
        took = take_turns(contestants, arguments.rounds)
        layers = take_turns(batch.layers(), arguments.rounds, 1)
        print(
            f"\n{profile.name}: {len(lengths)} examples, {int(lengths.sum())} tokens, longest {int(lengths.max())}, "
            f"fill {batch.fill:.0%}, {'causal' if profile.causal else 'bidirectional'}"
        )
        for name, run in contestants.items():
            memory = peak_memory(run)
            shown = "" if memory is None else f"{memory:9.0f} MiB"
            speed = ratio(took[name], took["grouped"])
            print(f"  {name:<22}{statistics.median(took[name]):9.1f} ms{shown or ' ' * 13}   {speed:6.2f} x")
        for name, values in layers.items():
            speed = ratio(values, layers["Saccade layer"])
            print(f"  {name:<22}{statistics.median(values):9.1f} ms{'':13}   {speed:6.2f} x")
        results.append(
            {
                "name": profile.name,
                "fill": round(batch.fill, 3),
                "speedup_vs_padded": round(ratio(took["padded"], took["grouped"]), 3),
                "speedup_vs_bucketed": round(ratio(took["bucketed"], took["grouped"]), 3),
                "milliseconds": {name: round(statistics.median(values), 2) for name, values in (took | layers).items()},
            }
        )
    return results


def keep_memory() -> bool:
    """Let glibc keep what is freed; whether it could be told so.

    Otherwise every block above 32 MiB is fresh memory of the system, whose pages are cleared one by one: a million
    tokens, whose tensors are that large, then take half as long again for each token as ten thousand.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # of malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except OSError:
        return False
    return all(mallopt(option, value) for option, value in ((mmap_max, 0), (trim_threshold, -1), (top_pad, 1 << 26)))


def scaling(arguments: argparse.Namespace) -> None:
    """Time and memory a token, for more and more examples of the same lengths."""
    profile = PROFILES[0]
    if not keep_memory():
        print("the allocator is as the system has it: large tensors cost more")
    print(f"lengths of {profile.name}: forward and backward, a token")
    for tokens in (10_000, 100_000, 1_000_000):
        rng = numpy.random.default_rng(arguments.seed)
        many = Profile(profile.name, profile.lengths, profile.longest, round(tokens / 105), True)
        batch = Attending(many.draw(rng), True, arguments.heads, arguments.dim)
        run = batch.ours()
        rounds = max(2, min(arguments.rounds, 500_000 // tokens))
        took = statistics.median(take_turns({"grouped": run}, rounds)["grouped"])
        memory = peak_memory(run)
        total = int(batch.lengths.sum())
        kibibytes = "" if memory is None else f"{1024 * memory / total:8.2f} KiB"
        print(f"  {total:>9,} tokens {1e3 * took / total:8.3f} us{kibibytes}")


def calibrate(arguments: argparse.Namespace) -> None:
    """Fit a group's cost, in microseconds: call + examples · width · (place · (Lq + Lk) + pair · Lq · Lk)."""
    kinds = {
        "FUSED, causal": Attention(mask=Causal()),
        "FUSED, padded keys": Attention(),
        "EXPLICIT": Attention(normalizer=Sparsemax(), mask=Causal()),
    }
    width = arguments.heads * arguments.dim
    for name, attention in kinds.items():
        rows, took = [], []
        for examples in (1, 2, 4, 16, 64):
            for length in (4, 8, 16, 32, 64, 128, 256, 512, 1024):
                if examples * length > 16_384 or examples * length**2 > 1 << 22:
                    continue
                # Descending lengths that nearly agree: one group, whose tokens move and whose keys are padded.
                lengths = torch.full((examples,), length)
                lengths[-1] -= int(examples > 1)
                run = one_group(attention, lengths, arguments)
                rows.append((1.0, examples * width * 2 * length, examples * width * length**2))
                took.append(1e3 * min(take_turns({"": run}, arguments.rounds, 1)[""]))
        matrix, times = numpy.array(rows), numpy.array(took)
        weights = 1 / times  # relative errors count alike
        constants, *_ = numpy.linalg.lstsq(matrix * weights[:, None], times * weights, rcond=None)
        error = numpy.median(abs(matrix @ constants / times - 1))
        call, place, pair = constants
        print(f"{name:<20} call {call:7.1f}  place {place:.5f}  pair {pair:.6f}   median error {error:.0%}")


def one_group(attention: Attention, lengths: Tensor, arguments: argparse.Namespace) -> Contestant:
    """Attention over a batch whose groups are made already."""
    packed = torch.randn(int(lengths.sum()), 3, arguments.heads, arguments.dim).requires_grad_()
    layout = Layout(lengths)

    def run() -> None:
        query, key, value = packed.unbind(1)
        attended = attention(Jagged(query, layout), Jagged(key, layout), value)
        torch.autograd.grad(attended, packed, torch.ones(()).expand_as(attended))

    return run


def main() -> None:
    """Parse the arguments and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns of every contestant")
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--dim", type=int, default=32, help="features of a head")
    parser.add_argument("--seed", type=int, default=0, help="of the lengths that are drawn")
    parser.add_argument(
        "--scaling", action="store_true", help="show the cost of a token from 10^4 to 10^6 tokens instead"
    )
    parser.add_argument("--calibrate", action="store_true", help="fit the constants of the cost model instead")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    if arguments.scaling:
        scaling(arguments)
    elif arguments.calibrate:
        calibrate(arguments)
    else:
        results = table(arguments)
        if arguments.json:
            print(json.dumps({"profiles": results, "threads": arguments.threads, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
