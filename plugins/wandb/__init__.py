"""Weights & Biases: the tracker of a run and its report. The only room that imports wandb."""
