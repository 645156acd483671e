"""Run the `w2l` command as ``python -m w2l``."""

from stages.cli import main

if __name__ == "__main__":
    main()
