"""How a history becomes something to learn and something to ask, a way a file."""
