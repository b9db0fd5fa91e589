"""The exception for every error that an operator or an agent can meet."""

from __future__ import annotations

from server.errors.table import PROBLEMS


class ClarionError(Exception):
    """A request of an operator or an agent cannot be carried out. Nothing was changed.

    Attributes:
        problem: The error's entry in the table.
        code: Code of the error.
        message: The message of this error, by default that of the table.
        field: Dotted path of the wrong input, or None.
        hint: The remedy, by default that of the table.
        details: Further members of the JSON error, for example all unknown hosts.
        retry_after: Seconds after which a repetition may succeed, if known.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        field: str | None = None,
        hint: str | None = None,
        details: dict[str, object] | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Create an error.

        Raises:
            KeyError: The table has no such code.
        """
        self.problem = PROBLEMS[code]
        self.code = code
        self.message = message or self.problem.message
        self.field = field
        self.hint = hint or self.problem.hint
        self.details = details or {}
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.message}")

    def as_problem(self, request_id: str) -> dict[str, object]:
        """Return the error as problem details of RFC 9457.

        `title` is the same for every error with this code; `detail` is the message of this one.
        """
        body: dict[str, object] = {
            "type": f"urn:clarion:error:{self.code}",
            "title": self.problem.message,
            "status": self.problem.http,
            "detail": self.message,
        }
        return (
            body | {"code": self.code, "field": self.field, "hint": self.hint, "request_id": request_id} | self.details
        )

    def as_json(self) -> dict[str, object]:
        """Return the error in the shape of the REST API: {"error": {code, message, field, hint, ...}}."""
        body: dict[str, object] = {"code": self.code, "message": self.message, "field": self.field, "hint": self.hint}
        return {"error": body | self.details}
