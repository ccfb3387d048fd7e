"""``fitgap server``, from a checkout."""

from fitgap.commands.main import main

if __name__ == "__main__":
    main("server")
