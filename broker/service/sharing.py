"""One open link a person and connector: whoever needs it joins it, however many come at once."""

from dataclasses import replace

from broker.db.database import Transaction
from broker.domain.links import Event, Link, after
from broker.service import proving
from broker.store import audit, links


def joined(
    tx: Transaction, project: str, user_id: str, connector_id: str, scopes: tuple[str, ...]
) -> Link | None:
    """The open link of person and connector, asking for these scopes too."""
    link = links.open_for(tx, project, connector_id, user_id)
    if link is None:
        return None
    if link.expires_at <= tx.now:
        links.change(tx, after(link, Event.EXPIRED, now=tx.now))
        return None
    union = tuple(dict.fromkeys((*link.scopes, *scopes)))
    if union != link.scopes:
        link = replace(link, scopes=union)
        links.change(tx, link)
    return link


def kept(tx: Transaction, link: Link) -> Link:
    """The link, kept; or the one of another transaction that this one waited for."""
    if not links.insert(tx, link):
        other = links.open_for(tx, link.project, link.connector or "", link.user or "")
        if other is None:
            raise proving.over()
        return other
    about = {"connector": link.connector, "user": link.user}
    audit.append(tx, link.project, link.made_by, "link.made", link.id, **about)
    return link
