"""`python -m proxy` is `respond-async`."""

from signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal


def main() -> None:
    """Run what the command line says. Ctrl-C ends it without a word also while it is still being imported."""
    if getsignal(SIGINT) is default_int_handler:  # it may be ignored, as it is in the background
        signal(SIGINT, SIG_DFL)
    from proxy.cli import main
    from proxy.commands import standard_output

    standard_output.take_closed()
    standard_output.install()
    main()


if __name__ == "__main__":
    main()
