"""The only kind of error that people see: what happened, and what to do about it."""


class UserError(Exception):
    """Something the administrator can fix. The CLI prints both lines and exits with `code`.

    Exit codes: 2 for bad input (nothing was changed), 1 for work that failed.
    """

    def __init__(self, message: str, hint: str = "", code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


class NotFoundError(UserError):
    """What was named is not there."""


class RestartNeededError(UserError):
    """A configuration is valid, and only a restart of the server puts it in force."""


class OvertakenError(UserError):
    """What was asked for cannot be done as things are by now."""
