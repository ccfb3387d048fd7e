"""``python -m fitgap``: the command where it is not on the PATH."""

from fitgap.commands.main import main

if __name__ == "__main__":
    main()
