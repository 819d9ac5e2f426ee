"""Commands of the command line: one file each, with `register(commands)` that adds its parser and action."""
