"""A browser without script: it reads pages, follows links, fills in forms and presses buttons.

Every page it reads is held to the rules of all pages (admin-ui.md 2): one `h1`, a skip link, real
tables, a name for everything that can be typed into, no script and nothing from elsewhere.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx

from tests.faces import BROWSER

VOID = {"meta", "link", "input", "br", "hr", "img", "col"}
REFUSED = {"script", "iframe", "object", "embed", "style", "base"}
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "


@dataclass
class Form:
    """A form of a page: where it goes, what stands in its fields, its buttons by their words."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: dict[str, list[str]] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str] | None] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)

    def filled(
        self, button: str, typed: dict[str, str | list[str] | bool]
    ) -> list[tuple[str, str]]:
        """What is sent when the button is pressed: what stood there, but for what was typed."""
        names = {name for name, _ in self.fields} | set(self.boxes)
        assert set(typed) <= names, f"{set(typed) - names} cannot be typed; there are {names}"
        sent = [(name, value) for name, value in self.fields if name not in typed]
        for name, value in typed.items():
            if isinstance(value, bool):
                value = self.boxes[name][:1] if value else []
            sent += [(name, each) for each in ([value] if isinstance(value, str) else value)]
        pressed = self.buttons[button]
        return sent + ([pressed] if pressed else [])


class _Reader(HTMLParser):
    """Reads a page once, and notes what is against the rules."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.seen = Counter[str]()
        self.ids = Counter[str]()
        self.labelled: set[str] = set()
        self.referred: set[str] = set()
        self.typed_into: list[dict[str, str | None]] = []
        self.links: list[tuple[str, str]] = []
        self.forms: list[Form] = []
        self.text: list[str] = []
        self._link: list[str] | None = None
        self._button: tuple[dict[str, str | None], list[str]] | None = None
        self._select: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.seen[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        if tag in REFUSED or any(name.startswith("on") or name == "style" for name in said):
            self.wrong.append(f"<{tag} {said}> has no place here")
        if id := said.get("id"):
            self.ids[id] += 1
        for name in ("aria-labelledby", "aria-describedby"):
            self.referred |= set((said.get(name) or "").split())
        if tag == "label":
            self.labelled.add(said.get("for") or "")
        elif tag == "th" and said.get("scope") not in ("row", "col"):
            self.wrong.append("a th without scope")
        elif tag == "a":
            self._link = [said.get("href") or "", said.get("aria-label") or ""]
        elif tag == "form":
            self.forms.append(Form(said.get("action") or "", said.get("method") or "get"))
        elif tag in ("input", "select"):
            self._field(tag, said)
        elif tag == "option" and self._select and "selected" in said:
            self.forms[-1].fields.append((self._select, said.get("value") or ""))
        elif tag == "button":
            self._button = (said, [])

    def _field(self, tag: str, said: dict[str, str | None]) -> None:
        name, value, kind = said.get("name") or "", said.get("value") or "", said.get("type")
        if kind != "hidden":
            self.typed_into.append(said)
        if tag == "select":
            self._select = name
        elif kind == "checkbox":
            self.forms[-1].boxes.setdefault(name, []).append(value)
            if "checked" in said:
                self.forms[-1].fields.append((name, value))
        else:
            self.forms[-1].fields.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")
        if tag == "a" and self._link is not None:
            href, *words = self._link
            self.links.append((href, " ".join(words)))
            self._link = None
        elif tag == "button" and self._button is not None:
            said, words = self._button
            word = " ".join("".join(words).split())
            name = said.get("name")
            self.forms[-1].buttons[word] = (name, said.get("value") or "") if name else None
            if "disabled" in said:
                self.forms[-1].disabled.add(word)
            self._button = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._link is not None:
            self._link.append(data)
        if self._button is not None:
            self._button[1].append(data)

    def problems(self) -> list[str]:
        """Everything on the page that is against the rules."""
        found = [*self.wrong, *(f"<{tag}> stays open" for tag in self.open)]
        found += [f"the id {id} stands {n} times" for id, n in self.ids.items() if n > 1]
        found += [f"{id} is referred to and not there" for id in self.referred - set(self.ids)]
        for said in self.typed_into:
            if said.get("id") not in self.labelled and not said.get("aria-labelledby"):
                found.append(f"the field {said.get('name')} has no label")
        if self.seen["h1"] != 1:
            found.append(f"{self.seen['h1']} h1")
        if ("#content", "Skip to content") not in [
            (href, words.strip()) for href, words in self.links
        ]:
            found.append("no skip link")
        found += [
            f"the link {words} leads outside" for href, words in self.links if urlsplit(href).netloc
        ]
        return found


@dataclass
class Page:
    """A page that was read, and the browser it was read in."""

    client: httpx.AsyncClient
    path: str
    answer: httpx.Response
    html: str
    text: str
    links: list[tuple[str, str]]
    forms: list[Form]

    def __contains__(self, words: str) -> bool:
        """Whether a reader sees these words."""
        return words in self.text

    def leads(self, words: str) -> list[str]:
        """Where the links lead whose text or label holds the words."""
        return [href for href, said in self.links if words in said]

    def form(self, button: str, action: str = "") -> Form:
        """The form with that button, and with `action` at the end of its address."""
        found = [f for f in self.forms if button in f.buttons and f.action.endswith(action)]
        assert len(found) == 1, f"{len(found)} forms with {button!r}: {self.forms}"
        return found[0]

    async def follow(self, words: str) -> Page:
        """The page behind the first link with the words."""
        return await read(self.client, self._from(self.leads(words)[0]))

    async def press(self, button: str, /, *, at: str = "", **typed: str | list[str] | bool) -> Page:
        """Fill in what was typed and press the button; the page that comes of it.

        A change that went well is answered 303, and that page is read.
        """
        form = self.form(button, at)
        assert button not in form.disabled, f"{button} is disabled"
        sent = form.filled(button, typed)
        to = self._from(form.action or self.path)
        if form.method == "get":
            return await read(self.client, str(httpx.URL(to, params=sent)))
        body: dict[str, str | list[str]] = {}
        for name, value in sent:
            body[name] = [*body.get(name, []), value]
        answer = await self.client.post(to, data=body, headers=BROWSER)
        if answer.status_code == 303:
            return await read(self.client, answer.headers["location"])
        return _page(self.client, to, answer)

    def _from(self, href: str) -> str:
        return str(httpx.URL(self.path).join(href))


async def read(client: httpx.AsyncClient, path: str, status: int = 200) -> Page:
    """What a browser shows there; AssertionError where a rule of all pages is broken."""
    answer = await client.get(path, headers=BROWSER)
    assert answer.status_code == status, answer.text
    return _page(client, path, answer)


def _page(client: httpx.AsyncClient, path: str, answer: httpx.Response) -> Page:
    assert answer.headers["content-type"].startswith("text/html"), answer.text
    assert answer.headers["content-security-policy"].startswith(POLICY)
    assert answer.headers["cache-control"] == "no-store"
    reader = _Reader()
    reader.feed(answer.text)
    reader.close()
    assert reader.problems() == [], f"{path}: {reader.problems()}\n{answer.text}"
    text = " ".join("".join(reader.text).split())
    return Page(client, path, answer, answer.text, text, reader.links, reader.forms)
