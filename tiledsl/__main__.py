"""``python -m tiledsl``."""

from tiledsl.cli import main

main()
