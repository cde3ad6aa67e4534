"""`python -m residency` is the `residency` command."""

from residency.cli import main

if __name__ == "__main__":
    main()
