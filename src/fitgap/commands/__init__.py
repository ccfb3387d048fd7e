"""The command line: one file for each subcommand, the shared options, the exit codes."""
