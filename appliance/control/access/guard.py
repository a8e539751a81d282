"""Who may look, and who may change something: FastAPI dependencies for pages and the API alike."""

from fastapi import HTTPException
from starlette.requests import HTTPConnection


async def viewer(connection: HTTPConnection) -> str:
    """The name of whoever may look: "administrator", the name of a token, or "guest" where nobody needs to log in."""
    raise HTTPException(401, "log in first")


async def administrator(connection: HTTPConnection) -> str:
    """The name of whoever may change something."""
    raise HTTPException(401, "log in first")
