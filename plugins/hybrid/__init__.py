"""The engine that joins TorchRec's tables to DeepSpeed's network at the seam."""
