"""scim2-server (PyPI) as an ASGI application on uvicorn, with its own in-memory storage.

The peer is the library as shipped: default schemas, resource types and
configuration, its AsyncInMemoryStorage, plus a static bearer token and cursor
pagination switched on.  SCIM root: http://127.0.0.1:$PORT/v2
"""

import os

from scim2_models import Pagination, ScimProvider, UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BEARER_TOKEN_SCHEME
from scim2_server.utils import (
    load_default_resource_types,
    load_default_schemas,
    load_default_service_provider_config,
)

TOKEN = os.environ.get("TOKEN", "bench-token")


class App(ASGIApplication):
    def check_auth(self, request):
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or token != TOKEN:
            raise UnauthorizedException


config = load_default_service_provider_config()
config.authentication_schemes = [BEARER_TOKEN_SCHEME]
config.pagination = Pagination(
    cursor=True,
    index=True,
    default_pagination_method=Pagination.DefaultPaginationMethod.index,
    default_page_size=100,
    max_page_size=1000,
    cursor_timeout=3600,
)
schemas = list(load_default_schemas().values())
resource_types = list(load_default_resource_types().values())
provider = ScimProvider.from_discovery(schemas, resource_types, config=config)
service = ScimService(provider, secret="bench-secret-bench-secret-bench-secret")
app = App(AsyncInMemoryStorage(), provider, service)
