"""The start of the `playlists` command."""

import sys


def main() -> None:
    """Run the command; Ctrl-C ends it without a trace, also while its modules load, which takes half a second."""
    try:
        from app.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
