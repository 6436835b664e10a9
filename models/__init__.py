"""What is learned: attention, losses and models in pure torch.

Nothing here knows a cluster, a file format or an experiment tracker; ``import saccade.models`` needs torch alone.
"""
