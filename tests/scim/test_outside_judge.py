"""What scim2-tester, written by strangers, says of this server."""

from __future__ import annotations

from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import CheckResult, Status, check_server

from tests.scim.calling import NAME, Client, as_wsgi


def test_the_outside_judge_finds_no_fault() -> None:
    """R132: scim2-tester passes every check of discovery, CRUD, PATCH and attribute selection."""
    client = Client()
    headers = {"Authorization": f"Bearer token-of-{NAME}"}
    peer = WSGISCIMClient(as_wsgi(client.app), client.service.base_url(NAME), headers=headers)
    peer.discover()
    results: list[CheckResult] = check_server(peer)
    faults = [
        f"{result.title}: {result.reason}"
        for result in results
        if result.status not in (Status.SUCCESS, Status.COMPLIANT, Status.SKIPPED)
    ]
    assert faults == []
    assert sum(result.status is not Status.SKIPPED for result in results) > 100
