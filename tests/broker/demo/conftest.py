"""The stage, set anew for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from broker.demo.grants import App
from broker.demo.identity import Client
from broker.demo.simulator import serving
from providers.egress import Egress
from tests.broker.demo.stage import CALLBACK, SIGNED_IN, Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """The simulator on a free port, with one connected app and one relying party."""
    async with serving() as simulator, httpx.AsyncClient(trust_env=False) as browser:
        app = simulator.salesforce.register(App("3MVG9", "app-secret", {CALLBACK}))
        client = simulator.identity.register(Client("broker", "party-secret", {SIGNED_IN}))
        egress = Egress(origins=[simulator.base_url])
        yield Stage(simulator, egress, browser, app, client)
        await egress.aclose()
