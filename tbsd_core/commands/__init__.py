"""Commands of the command line that have a file of their own: `register` adds one to the parser."""
