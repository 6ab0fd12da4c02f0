"""``python -m leakscan``."""

from leakscan.cli.app import main

if __name__ == "__main__":
    main()
