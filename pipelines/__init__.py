"""How rows become batches, and batches a loss and metrics: Parquet, order, tasks, engines and the training loop."""
