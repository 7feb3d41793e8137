"""`Link: rel="next"` leads through a whole list (RFC 8288; api-conventions.md 2)."""

from __future__ import annotations

from tests.faces import Faces


async def test_the_link_is_the_next_page(service: Faces) -> None:
    """Following the link, and nothing but the link, meets everybody once; the last page has none.

    What the list was narrowed to stays.
    """
    made = await service.push(f"kim-{n}@acme.example" for n in range(5))
    headers = await service.key()
    url, met, pages = "/v1/users?status=invited&limit=2", list[str](), 0
    while True:
        answer = await service.client.get(url, headers=headers)
        met += [each["id"] for each in answer.json()["items"]]
        pages += 1
        if (link := answer.links.get("next")) is None:
            break
        url = link["url"]
        assert "status=invited" in url
        assert answer.json()["next_cursor"] in url
    assert answer.json()["next_cursor"] is None
    assert (met, pages) == (sorted(made.values()), 3)
