"""Build what is compiled at first use, so that no training run has to wait for a compiler.

Run once after installation: ``python -m saccade.cluster.prepare``.
"""


def main() -> None:
    """Build DeepSpeed's communication op on a machine without a GPU; others need nothing."""
    import torch

    if torch.cuda.is_available():
        print("nothing to build: on a GPU NCCL communicates")
        return
    from saccade.plugins.deepspeed import comm_op

    print(f"DeepSpeed's communication op is in {comm_op.build()}")


if __name__ == "__main__":
    main()
