"""TorchRec: embedding tables sharded over workers."""
