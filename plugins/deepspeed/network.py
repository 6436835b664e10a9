"""The attention network in a DeepSpeed engine: ZeRO sharding, accumulation, and full tensors in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import deepspeed
import torch
from deepspeed.utils import set_z3_leaf_module
from torch import Tensor, nn

from saccade.models.attention.attention import Attention
from saccade.models.scheduled import scheduled, set_step
from saccade.pipelines.collective import Collective
from saccade.pipelines.engines.gradients import squares
from saccade.pipelines.engines.network_state import check_network, load_network, network_state
from saccade.pipelines.engines.precision import Precision, autocast
from saccade.pipelines.errors import UserError
from saccade.pipelines.optimizers import NetworkOptimizer
from saccade.plugins.deepspeed import full_tensors
from saccade.plugins.deepspeed.shared_backend import use_shared_memory


class _Autocast(nn.Module):
    """Runs a network in a precision: inside the engine, which switches an outer autocast off."""

    def __init__(self, network: nn.Module, device: torch.device, precision: Precision) -> None:
        super().__init__()
        self.network, self.device, self.precision = network, device, precision

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with autocast(self.device, self.precision):
            return self.network(*args, **kwargs)


class ZeroNetwork:
    """A network whose parameters, gradients and optimizer DeepSpeed shards by ZeRO stage 0 to 3.

    Args:
        network: built alike on every rank.
        optimizer: its settings.
        zero_stage: 0 (nothing sharded) to 3 (parameters too).
        offload: keep optimizer state and step on the host (stages 1 to 3).
        accumulation: micro-batches of a step on this rank.
        device: where it runs.
        precision: of forward and backward.
        collective: all ranks.

    Raises:
        UserError: the stage can't keep the optimizer's formula, or has nothing to offload.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: NetworkOptimizer,
        *,
        zero_stage: int,
        offload: bool = False,
        accumulation: int,
        device: torch.device,
        precision: Precision,
        collective: Collective,
    ) -> None:
        if optimizer.name == "lamb" and zero_stage:
            raise UserError(
                f"optimizer.name=lamb needs whole weight matrices, which engine.zero_stage={zero_stage} cuts into "
                "pieces: set engine.zero_stage=0 or choose another optimizer"
            )
        if offload and not zero_stage:
            raise UserError("engine.offload_optimizer=true needs engine.zero_stage 1, 2 or 3: stage 0 shards nothing")
        self.settings, self.zero_stage, self.collective = optimizer, zero_stage, collective
        self.network, self.device, self.offload = network.to(device), device, offload
        self.scheduled = scheduled(self.network)
        self.parameters = sum(p.numel() for p in network.parameters())
        zero: dict[str, Any] = {"stage": zero_stage}
        if offload:
            zero["offload_optimizer"] = {"device": "cpu", "pin_memory": device.type == "cuda"}
        config = {
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": accumulation,
            # DeepSpeed's default of 1.0 would scale every update in silence.
            "gradient_clipping": 0.0,
            "zero_optimization": zero,
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "steps_per_print": 1 << 60,
            "wall_clock_breakdown": False,
        }
        # ZeRO 3 fetches parameters by a collective when a module is called, and attention calls its parts once a group,
        # of which every rank has another number: so all of an attention's parameters come when it is called itself.
        for module in network.modules():
            if isinstance(module, Attention):
                set_z3_leaf_module(module, True)
        self.engine, _, _, _ = deepspeed.initialize(
            model=_Autocast(self.network, device, precision),
            optimizer=optimizer.build(network.parameters()),
            config=config,
            dist_init_required=False,
        )
        use_shared_memory()

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """The network's output; a collective under ZeRO 3."""
        output: Tensor = self.engine(*args, **kwargs)
        return output

    def train(self, mode: bool, step: int) -> None:
        """Switch dropout on or off, and tell modules with a schedule how many steps were taken."""
        if self.engine.module.training != mode:
            self.engine.train(mode)
        set_step(self.scheduled, step)

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradient of one micro-batch's loss; its scale is the mean over all micro-batches and ranks.

        The last one's backward also reduces the gradients over the ranks.
        """
        self.engine.backward(loss)
        if not self.engine.is_gradient_accumulation_boundary():
            self.engine.step()

    def squares(self) -> float:
        """This rank's share of the sum of the squares of the reduced gradient's elements."""
        return squares(self._gradients()) / (1 if self.zero_stage else self.collective.world_size)

    def step(self, *, coefficient: float, factor: float) -> None:
        """After the last micro-batch's backward: multiply the gradient with the coefficient, and step. A collective."""
        if coefficient != 1:
            torch._foreach_mul_(self._gradients(), coefficient)
        self.settings.scale_learning_rate(self._torch_optimizer, factor)
        self.engine.step()

    def discard(self) -> None:
        """In place of :meth:`step`: forget the gradient, and change nothing. A collective."""
        gradients = self._gradients()
        if self.zero_stage:
            # ZeRO skips the step and cleans up where any rank's gradient isn't finite.
            torch._foreach_add_(gradients, torch.nan)
        else:
            self.network.zero_grad(set_to_none=True)
        self.engine.step()
        # Stage 3 uses its buffers again, and writes no padding.
        torch._foreach_zero_(gradients)

    def _gradients(self) -> list[Tensor]:
        """The reduced gradient's parts on this rank, live: under stage 0 all of it, the same on every rank."""
        if not self.zero_stage:
            return [p.grad for p in self.network.parameters() if p.grad is not None]
        zero = self.engine.optimizer
        if self.offload:
            return [p.grad for p in full_tensors.partitions(zero) if p.grad is not None]
        return [part for parts in zero.averaged_gradients.values() if parts is not None for part in parts]

    def state(self) -> dict[str, Tensor]:
        """This rank's share of ``weight/NAME`` and ``optimizer/STATE/NAME``, full and float32. A collective."""
        rank, world_size = self.collective.rank, self.collective.world_size
        if self.zero_stage:
            return full_tensors.gather(self.network, self.engine.optimizer, rank, world_size)
        names = [name for name, _ in self.network.named_parameters()][rank::world_size]
        tensors = network_state(self.network, self._torch_optimizer)
        return {key: value for key, value in tensors.items() if key.endswith(tuple(f"/{name}" for name in names))}

    def load(self, saved: Mapping[str, Tensor]) -> None:
        """Take full tensors of any world size and ZeRO stage. A collective."""
        check_network(self.network, saved)
        if self.zero_stage:
            full_tensors.scatter(self.network, self.engine.optimizer, saved, self.collective.rank)
        else:
            load_network(self.network, self._torch_optimizer, saved)

    @property
    def _torch_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that DeepSpeed steps: ZeRO wraps it, and may have made it anew."""
        wrapped = self.engine.optimizer
        found: torch.optim.Optimizer = getattr(wrapped, "optimizer", wrapped)
        return found
