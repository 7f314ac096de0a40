"""`python -m windtunnel`."""

from windtunnel.command import main

if __name__ == "__main__":
    main()
