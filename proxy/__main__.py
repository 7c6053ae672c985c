"""`python -m proxy` is `respond-async`."""

from proxy.cli import main

main()
