"""Every sample of the README and of docs/ is typed: it runs, or says beside it why it cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import sampling
from tests.house.product import text
from tests.sampling import Sample, samples
from tests.serving import serve

ALL = [sample for page in sampling.pages() for sample in samples(page)]
LAST = "docs/rehearsing.md"
"""It moves the pretend programs' clock, and ends what people have granted."""
TYPED = sorted({each.page for each in ALL if each.is_run}, key=lambda page: (page == LAST, page))
DEMO = "data/demo/env"
TOLD = {
    "README.md": ["sam.doe@acme.example", '"row":"F6"'],
    "docs/rehearsing.md": ['"row":"F6"', '"status":"authentication-required"'],
    "docs/authenticate-user.md": ['"Pass"', "\n304\n", "exception=UnknownItemName"],
}
"""What a page says that its lines answer."""


async def test_every_page_can_be_typed(tmp_path: Path) -> None:
    """From the top of each page to its end, in one shell: every line ends well, no call is refused,
    and it answers what the page says. One demo, of which a reader has every page, stands beside.
    """
    wrong = {}
    async with serve(tmp_path, name="demo", demo=True, BROKER_CCOW="1"):
        for page in TYPED:
            folder = tmp_path / page.replace("/", "-")
            folder.mkdir()
            blocks = [sample for sample in samples(page) if sample.is_run]
            if any(DEMO in block.body for block in blocks):
                (folder / "data").symlink_to(tmp_path / "data")
            done = await sampling.typed(blocks, folder, {"9300": str(sampling.free_port())})
            missed = [words for words in TOLD.get(page, ()) if words not in done.said]
            if (done.status, done.refused, missed) != (0, "", []):
                wrong[page] = f"{done.refused}\n{missed}\n{done.said}\n{done.complaint}"
    assert wrong == {}, "\n".join(f"== {page}\n{why}" for page, why in wrong.items())


@pytest.mark.parametrize("sample", ALL, ids=lambda each: f"{each.page}:{each.line}")
def test_a_block_says_what_it_is(sample: Sample) -> None:
    """A language that is typed, or one that is only shown; JSON is JSON; a reason is a sentence,
    and stands at blocks alone that would be typed otherwise.
    """
    assert sample.language in sampling.RUN | sampling.SHOWN
    if sample.language == "json":
        json.loads(sample.body)
    if sample.why is not None:
        assert sample.language in sampling.RUN
        assert len(sample.why.split()) > 3


@pytest.mark.parametrize("page", sampling.pages())
def test_no_block_is_missed(page: str) -> None:
    """Each fence of a page, indented or not, belongs to a block that is read."""
    fences = re.findall(r"^ *(?:```|~~~)", text(page), re.MULTILINE)
    assert len(fences) == 2 * len(list(samples(page)))


def test_few_blocks_are_not_run() -> None:
    """What cannot be typed is the exception: every page that is named here has its reasons."""
    assert {sample.page for sample in ALL if sample.why} <= {"README.md", "docs/performance.md"}


def test_blocks_are_found() -> None:
    """The reader of pages sees a block, its language, its line, and the reason beside it."""
    page = "a\n\n```sh\nx\n```\n<!-- not run: it takes two days -->\n\n```python\ny\nz\n```\n"
    first, second = samples("p", page)
    assert first == Sample("p", 3, "sh", "x\n", None)
    assert second == Sample("p", 8, "python", "y\nz\n", "it takes two days")
    assert (first.is_run, second.is_run) == (True, False)


@pytest.mark.parametrize(
    "body",
    [
        "false",
        "false | true; exit 3",
        "curl -s http://127.0.0.1:1/ | cat",
        "python -c 'x'",
        "$GONE",
    ],
)
async def test_a_sample_that_does_not_run_is_seen(body: str, tmp_path: Path) -> None:
    """A line that fails, a call in a pipe that is refused, a name nobody set: each is found."""
    done = await sampling.typed([Sample("p", 1, "sh", body, None)], tmp_path, {})
    assert (done.status, done.refused) != (0, "")
