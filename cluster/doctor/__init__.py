"""What a machine has and what is wrong with it: a check a function, put together by ``diagnosis``."""
