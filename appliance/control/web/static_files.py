"""The static files of the page: style, scripts, icon. Nothing comes from elsewhere."""

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from appliance.control.web.templating import STATIC


class KeptFiles(StaticFiles):
    """Files whose address changes when they do (`asset`): a browser asks for each only once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        kept = response.status_code == 200 and scope.get("query_string")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-cache"
        return response


files = KeptFiles(directory=STATIC)
