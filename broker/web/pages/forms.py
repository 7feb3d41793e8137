"""A form as a browser sends it, read as strictly as a body of `/v1` and by the same reader."""

from starlette.requests import Request

from broker.domain.errors import Problem
from broker.service.reading import Members
from broker.web.wire import fields

LIMIT = 64 * 1024
TICKED = "yes"


async def read(
    request: Request,
    *texts: str,
    numbers: tuple[str, ...] = (),
    ticks: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
    needed: tuple[str, ...] = (),
) -> Members:
    """The fields of a form, none but these, to be read in a `with`.

    A field that was left empty is not there. A number is a whole one, a tick true or false, a list
    has a text for each box that was ticked; what is `needed` comes, if empty. Malformed where it
    is no form, Invalid with every problem where a field is unknown, comes twice, or is no number.
    """
    said: dict[str, object] = dict.fromkeys(ticks, False) | {name: [] for name in lists}
    members, seen = Members(said, ""), set[str]()
    for name, value in await fields(request, LIMIT):
        held = said.get(name)
        if isinstance(held, list):
            held.append(value)
        elif name in seen:
            members.wrong(name, "repeated", f"{name} comes twice.")
        elif name in ticks:
            said[name] = value == TICKED
        elif name in numbers and value:
            said[name] = int(value) if _is_number(value) else value
        elif value or name not in (*texts, *numbers):
            said[name] = value
        seen.add(name)
    for name in needed:
        if name not in seen:
            members.wrong(name, "required", f"{name} is needed.")
    members.close(*texts, *numbers, *ticks, *lists)
    return members


async def nothing(request: Request) -> None:
    """Demand that a form with a button alone says nothing."""
    with await read(request):
        pass


def sentence(problem: Problem) -> str:
    """What is wrong with one field, to whoever typed it."""
    near = f" Did you mean {problem.did_you_mean}?" if problem.did_you_mean else ""
    return problem.detail + near


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
