"""`python -m cli`, `bin/tandem`."""

from cli.app import main

main()
