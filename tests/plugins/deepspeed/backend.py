"""DeepSpeed's collectives on one of two ranks, for :mod:`test_shared_backend`."""

from __future__ import annotations

from saccade.plugins.deepspeed.comm_op import prepare_environment

prepare_environment()

import deepspeed.comm as dist  # noqa: E402
import torch  # noqa: E402
from deepspeed.comm import comm  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from saccade.pipelines.collective import Collective  # noqa: E402
from saccade.pipelines.optimizers import NetworkOptimizer  # noqa: E402
from saccade.plugins.deepspeed.network import ZeroNetwork  # noqa: E402


def collectives() -> tuple[str, dict[str, Tensor]]:
    """The backend of a network's engine, and what its collectives give."""
    collective = Collective()
    ZeroNetwork(
        nn.Linear(3, 2),
        NetworkOptimizer(),
        zero_stage=1,
        accumulation=1,
        device=torch.device("cpu"),
        precision="fp32",
        collective=collective,
    )
    mine = torch.arange(4.0).view(2, 2) + 10 * collective.rank
    alone = dist.new_group([0])
    found = {name: mine.clone() for name in ("sum", "highest", "later", "of one")}
    dist.all_reduce(found["sum"])
    dist.all_reduce(found["highest"], op=dist.ReduceOp.MAX)
    dist.all_reduce(found["later"], async_op=True).wait()
    if collective.rank == 0:
        dist.all_reduce(found["of one"], group=alone)
    found["gathered"] = torch.zeros(8)
    dist.all_gather_into_tensor(found["gathered"], mine)
    return type(comm.cdb).__name__, found
