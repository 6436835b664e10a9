"""Checkpoints independent of world size, ZeRO stage and sharding plan."""
