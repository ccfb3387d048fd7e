"""What a person types: one subcommand a file, its options, and how it ends."""
