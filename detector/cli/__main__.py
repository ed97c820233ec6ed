"""`python -m detector.cli` is the command `bargewatch`."""

from detector.cli import main

main()
