"""A letter composed: text and HTML of a template, and headers that nobody writes into."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from broker.domain import clock
from broker.domain.letters import Letter, Template, salutation

SUBJECTS = {
    Template.INVITATION: "You are invited to {product}",
    Template.ACTIVE: "You are active in {product} now",
    Template.NEEDED: "A flow needs you at {connector}",
}


def composed(
    letter: Letter, sender: Address, to: Address, *, name: str, now: int, **said: str
) -> EmailMessage:
    """The letter as it travels. Of what a directory says it holds the name alone (safety 13).

    Its Message-ID is made of the letter's id: a letter that is sent again, because nobody knows
    whether it arrived, is the same letter. No program answers it (RFC 3834, 5).
    """
    subject = SUBJECTS[letter.template].format(**said)
    values = said | {"name": salutation(name), "subject": subject}
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = Address(addr_spec=to.addr_spec)
    message["Date"] = format_datetime(datetime.fromtimestamp(now / clock.SECOND, UTC))
    message["Message-ID"] = f"<{letter.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_filled(f"{letter.template}.txt", values))
    message.add_alternative(_filled(f"{letter.template}.html", values), subtype="html")
    return message


def moment(micros: int) -> str:
    """An instant as a letter has it; the zone, UTC, is said beside it."""
    return datetime.fromtimestamp(micros / clock.SECOND, UTC).strftime("%-d %B %Y, %H:%M")


def _filled(template: str, values: dict[str, str]) -> str:
    return _TEMPLATES.get_template(template).render(values) + "\n"


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "letters"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
)
