"""gitcoord: a fleet of agents coordinates through one git remote and nothing else."""

__version__ = "0.1.0"
