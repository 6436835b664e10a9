"""DeepSpeed: the network's ZeRO sharding."""
