"""``python -m consilium`` is the command ``consilium``."""

from consilium.app.cli import main

if __name__ == "__main__":
    main()
