"""`python -m gitcoord`."""

from gitcoord.cli.main import main

main()
