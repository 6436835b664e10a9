"""Checks of the YAML that people hand to ``ray up`` and ``kubectl apply``, made without a network."""
