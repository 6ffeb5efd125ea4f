"""`python -m assist`."""

from assist.commands.main import main

main()
