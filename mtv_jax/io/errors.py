"""What went wrong because of something the user gave or must change."""


class UserError(Exception):
    """Bad input, told in one line: what was given, what is wrong with it, what to do.

    Commands print the message alone (no traceback) and exit with 2.
    """
