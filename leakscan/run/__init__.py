"""The jobs on top of the rooms, one per command of the command line."""
