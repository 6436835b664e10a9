"""The only rooms that import Ray, DeepSpeed, TorchRec or wandb, one room each; how other people's parts are found."""
