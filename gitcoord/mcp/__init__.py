"""The fleet for AI agents: tools over the Model Context Protocol, derived from the commands of the features."""
