"""DeepSpeed: the network's ZeRO sharding."""

import torch

from saccade.plugins.deepspeed.comm_op import prepare_environment

if not torch.cuda.is_available():
    # Before any module of this package imports deepspeed, which chooses its accelerator then.
    prepare_environment()
