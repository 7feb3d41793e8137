"""The mapping of a directory: its versions, a new one, and a draft tried on one record."""

from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from broker.domain.callers import Caller
from broker.domain.errors import Problem
from broker.service.drafting import Drafting, MappingView, Preview
from broker.web.access import Access
from broker.web.api import body
from broker.web.api.answers import condition, json, moment, number


@dataclass(frozen=True, slots=True)
class MappingsFace:
    """The ETag is the version in force, whichever version was asked for."""

    drafting: Drafting
    access: Access

    def routes(self) -> list[Route]:
        """What this face serves, and the scope each of it needs."""
        route = self.access.route
        return [
            route("GET", "/v1/directories/{id}/mapping", "directories:read", self.mapping),
            route("PUT", "/v1/directories/{id}/mapping", "directories:write", self.save),
            route(
                "POST", "/v1/directories/{id}/mapping/preview", "directories:write", self.preview
            ),
        ]

    async def mapping(self, request: Request, caller: Caller) -> Response:
        text, id = request.query_params.get("version"), request.path_params["id"]
        version = None if text is None else number(text)
        if text is not None and version is None:
            raise Problem("", "not_a_number", "version is a number.").alone(
                reason="invalid-version"
            )
        return _shown(await self.drafting.get(caller.project, id, version))

    async def save(self, request: Request, caller: Caller) -> Response:
        seen, said = condition(request), await body.read_json(request)
        return _shown(await self.drafting.save(caller, request.path_params["id"], said, seen))

    async def preview(self, request: Request, caller: Caller) -> Response:
        said = await body.read_json(request)
        id = request.path_params["id"]
        return json(previewed(await self.drafting.preview(caller.project, id, said)))


def _shown(view: MappingView) -> Response:
    about = {
        "version": view.kept.version,
        "current": view.current,
        "created_at": moment(view.kept.created_at),
        "created_by": view.kept.created_by,
    }
    return json(about | view.compiled.rendered(), headers={"ETag": f'"{view.current}"'})


def previewed(preview: Preview) -> dict[str, Any]:
    """What a mapping would make of one record, step by step."""
    error = preview.error
    return {
        "steps": [step.rendered() for step in preview.steps],
        "before": preview.before,
        "after": preview.after,
        "warnings": [asdict(warning) for warning in preview.warnings],
        "error": {"code": error.reason, "detail": str(error)} if error else None,
    }
