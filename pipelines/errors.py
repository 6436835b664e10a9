"""The one exception for a mistake that a user can mend."""


class UserError(Exception):
    """A mistake in a job file, in data or on a machine that the user can mend.

    The message is one line: it names the thing, shows what was given and says what to do. The command line prints it
    without a traceback and exits with code 2.
    """
