"""Set-up of AI clients: the fleet's MCP server, the guide and hooks in the files that each client reads."""
