"""A little of the pretend Salesforce's API: who a token belongs to, limits, and one query."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from broker.demo.grants import ORGANIZATION, Approval, State, User


class Api:
    """The endpoints that demand a live access token."""

    def __init__(self, state: State) -> None:
        self.state = state

    def routes(self) -> list[Route]:
        return [
            Route("/services/oauth2/userinfo", self._who, methods=["GET", "POST"]),
            Route("/id/{organization}/{user}", self._who),
            Route("/services/data/{version}/limits", self._limits),
            Route("/services/data/{version}/query", self._query),
        ]

    async def _who(self, request: Request) -> Response:
        approval = self._caller(request)
        self.state.count("identity", approval.user if approval else None)
        if trouble := await self.state.trouble("identity", approval.user if approval else None):
            return trouble
        wanted = request.path_params
        mine = approval and {"organization": ORGANIZATION, "user": approval.user.id}
        if approval is None or (wanted and wanted != mine):
            return PlainTextResponse("Bad_OAuth_Token", 403)
        user = approval.user
        return JSONResponse(
            {
                "id": f"{self.state.base_url}/id/{ORGANIZATION}/{user.id}",
                "user_id": user.id,
                "organization_id": ORGANIZATION,
                "username": user.user_name,
                "preferred_username": user.user_name,
                "display_name": user.name,
                "name": user.name,
                "email": user.user_name,
                "active": user.active,
            }
        )

    async def _limits(self, request: Request) -> Response:
        approval = self._caller(request)
        self.state.count("limits", approval.user if approval else None)
        if approval is None:
            return _ended()
        return JSONResponse({"DailyApiRequests": {"Max": 15000, "Remaining": 14998}})

    async def _query(self, request: Request) -> Response:
        """Whatever is asked, the answer tells whose token asked."""
        approval = self._caller(request)
        self.state.count("query", approval.user if approval else None)
        if trouble := await self.state.trouble("query", approval.user if approval else None):
            return trouble
        if approval is None:
            return _ended()
        record = _record(request, approval.user)
        return JSONResponse({"totalSize": 1, "done": True, "records": [record]})

    def _caller(self, request: Request) -> Approval | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.state.by_access_token(token) if scheme in ("Bearer", "OAuth") else None


def _record(request: Request, user: User) -> dict[str, object]:
    if "PermissionSetAssignment" in request.query_params.get("q", ""):
        return {
            "Assignee": {"Profile": {"Name": "System Administrator"}},
            "PermissionSet": dict.fromkeys(sorted(user.permissions), True),
        }
    url = f"/services/data/{request.path_params['version']}/sobjects/User/{user.id}"
    attributes = {"type": "User", "url": url}
    return {"attributes": attributes, "Id": user.id, "Username": user.user_name, "Name": user.name}


def _ended() -> Response:
    body = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    return JSONResponse(body, 401)
