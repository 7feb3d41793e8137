"""Settings become services, by hand: one screen."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from broker.bootstrap import (
    catalogue,
    database_of,
    hasher_of,
    programs_of,
    require_programs,
    seal_of,
)
from broker.config import Misconfigured, Settings
from broker.db.database import Clock, Database, system_clock
from broker.service.adopting import Adopting
from broker.service.authenticating import Authenticating
from broker.service.authorizing import Authorizing
from broker.service.batching import Batching
from broker.service.callers import Callers
from broker.service.calling import Calling
from broker.service.chaining import Chaining
from broker.service.configuring import Configuring
from broker.service.connected import Connected
from broker.service.connecting import Connecting
from broker.service.deciding import Deciding
from broker.service.delivering import Delivering, Post
from broker.service.drafting import Drafting
from broker.service.explaining import Explaining
from broker.service.forgetting import JOB as FORGET
from broker.service.forgetting import Forgetting
from broker.service.granting import Granting
from broker.service.holding import Holding
from broker.service.hosting import Hosting
from broker.service.importing import Importing
from broker.service.inviting import Inviting
from broker.service.keeping import JOB as PULL
from broker.service.keeping import Keeping
from broker.service.licensing import Licensing
from broker.service.managing import Managing
from broker.service.mapping import Mappings
from broker.service.minting import Minting
from broker.service.overseeing import Overseeing
from broker.service.pausing import Pausing
from broker.service.programs import Programs
from broker.service.projects import Projects
from broker.service.publishing import Publishing
from broker.service.pulling import Pulling
from broker.service.reapplying import Reapplying
from broker.service.recognizing import Recognizing
from broker.service.rejecting import Rejecting
from broker.service.releasing import Releasing
from broker.service.reminding import Reminding
from broker.service.removing import JOB as CLEAR
from broker.service.removing import Removing
from broker.service.replaying import Replaying
from broker.service.reporting import Reporting
from broker.service.resolving import Resolving
from broker.service.retaining import Retaining
from broker.service.revoking import Revoking
from broker.service.scheduling import Scheduling
from broker.service.searching import Searching
from broker.service.signing import Signing
from broker.service.signing_in import SigningIn
from broker.service.sources import Sources
from broker.service.starting import Starting
from broker.service.syncing import Syncing
from broker.service.testing import Testing
from broker.service.tracing import Tracing
from broker.service.vault import Vault
from broker.service.vouching import Vouching
from broker.service.webhooks import Webhooks
from broker.service.working import Chore, Handler, Worker
from providers.egress import Egress
from providers.oidc import Issuers
from providers.registry import Registry
from providers.sources.registry import Sources as Kinds


@dataclass(frozen=True, slots=True)
class Broker:
    """Everything that runs; the faces are given its services."""

    settings: Settings
    base_url: str
    db: Database
    callers: Callers
    projects: Projects
    managing: Managing
    overseeing: Overseeing
    licensing: Licensing
    adopting: Adopting
    inviting: Inviting
    delivering: Delivering
    configuring: Configuring
    syncing: Syncing
    hosting: Hosting
    pulling: Pulling
    reapplying: Reapplying
    starting: Starting
    scheduling: Scheduling
    removing: Removing
    deciding: Deciding
    tracing: Tracing
    drafting: Drafting
    authorizing: Authorizing
    connected: Connected
    connecting: Connecting
    testing: Testing
    granting: Granting
    importing: Importing
    minting: Minting
    vouching: Vouching
    signing_in: SigningIn
    vault: Vault
    resolving: Resolving
    batching: Batching
    explaining: Explaining
    reporting: Reporting
    rejecting: Rejecting
    pausing: Pausing
    releasing: Releasing
    reminding: Reminding
    authenticating: Authenticating
    replaying: Replaying
    holding: Holding
    publishing: Publishing
    webhooks: Webhooks
    calling: Calling
    worker: Worker


LOOPBACK = ("127.0.0.0/8", "::1/128")


@asynccontextmanager
async def opened(
    settings: Settings, base_url: str, *, clock: Clock = system_clock
) -> AsyncIterator[Broker]:
    """The broker on its migrated database, closed at the end; Misconfigured where it cannot."""
    seal, post = seal_of(settings), _post(settings)
    async with AsyncExitStack() as stack:
        db = await database_of(settings, clock)
        stack.push_async_callback(db.close)
        hasher = await hasher_of(db, seal)
        origins = [settings.simulator_url] if settings.simulator_url else []
        egress = Egress(allow=settings.egress_allow, origins=origins, relays=settings.relays)
        stack.push_async_callback(egress.aclose)
        registry = Registry(
            egress, simulator=settings.simulator_url, programs=programs_of(settings)
        )
        await require_programs(db, registry)
        programs = Programs(registry, seal, base_url)
        vault = Vault(db, hasher, programs)
        stack.push_async_callback(vault.landed)
        delivering = Delivering(db, hasher, settings.product, base_url, post)
        stack.push_async_callback(delivering.landed)
        sources = Sources(Kinds(egress, simulator=settings.simulator_url), seal)
        beside = LOOPBACK if settings.simulator_url else ()  # receivers of a rehearsal
        outward = Egress(allow=[*settings.egress_allow, *beside], plain=True)
        stack.push_async_callback(outward.aclose)
        calling = Calling(db, seal, outward)
        stack.push_async_callback(calling.landed)
        yield _wired(settings, base_url, vault, Issuers(egress), delivering, sources, calling)


def _wired(
    settings: Settings,
    base_url: str,
    vault: Vault,
    issuers: Issuers,
    delivering: Delivering,
    sources: Sources,
    calling: Calling,
) -> Broker:
    """Every service with what it needs, in the order in which they need each other."""
    db, hasher, seal = vault.db, vault.hasher, vault.programs.seal
    holding = Holding(db)
    callers, licensing = Callers(db, hasher), Licensing(db)
    authorizing, syncing = Authorizing(db, hasher, vault), Syncing(db)
    resolving, mappings = Resolving(db, vault), Mappings(db, catalogue(settings))
    hosting = Hosting(syncing, Searching(db), licensing, mappings, mappings.catalogue, base_url)
    starting = Starting(db, Pulling(Keeping(hosting), sources), Reapplying(hosting))
    broker = Broker(
        settings=settings,
        base_url=base_url,
        db=db,
        callers=callers,
        projects=Projects(db, seal, settings.simulator_url),
        managing=Managing(db, vault.programs),
        overseeing=Overseeing(db, delivers=delivering.post is not None),
        licensing=licensing,
        adopting=Adopting(db, licensing),
        inviting=Inviting(db, hasher, licensing, base_url),
        delivering=delivering,
        configuring=Configuring(db, callers, sources),
        syncing=syncing,
        hosting=hosting,
        pulling=starting.pulling,
        reapplying=starting.reapplying,
        starting=starting,
        scheduling=Scheduling(db, starting),
        removing=Removing(db, licensing),
        deciding=Deciding(hosting),
        tracing=Tracing(hosting, sources),
        drafting=Drafting(db, mappings),
        authorizing=authorizing,
        connected=Connected(db, vault.programs),
        connecting=Connecting(db, vault),
        testing=Testing(db, vault),
        granting=Granting(db),
        importing=Importing(db, vault),
        minting=Minting(vault),
        vouching=Vouching(db, callers),
        signing_in=SigningIn(db, seal, base_url, issuers, callers, licensing),
        vault=vault,
        resolving=resolving,
        batching=Batching(resolving),
        explaining=Explaining(resolving),
        reporting=Reporting(db),
        rejecting=Rejecting(db, vault),
        pausing=Pausing(db, hasher, resolving),
        releasing=Releasing(db),
        reminding=Reminding(db),
        authenticating=Authenticating(
            db, hasher, Recognizing(issuers), Signing(db, seal), base_url, holding
        ),
        replaying=Replaying(db, hasher),
        holding=holding,
        publishing=Publishing(db, holding),
        webhooks=Webhooks(db, seal, calling.egress),
        calling=calling,
        worker=Worker(db, {}),
    )
    worker = replace(broker.worker, handlers=_handlers(broker), chores=_chores(broker))
    return replace(broker, worker=worker)


def _handlers(broker: Broker) -> dict[str, Handler]:
    """Who does a job, by its kind."""
    return {
        "revoke": Revoking(broker.db, broker.vault.programs).revoke,
        FORGET: Forgetting(broker.db).forget,
        CLEAR: broker.removing.clear,
        PULL: broker.pulling.pull,
        "reapply": broker.reapplying.reapply,
        "retry": broker.reapplying.retried,
        "decided": broker.deciding.carry_out,
    }


def _chores(broker: Broker) -> tuple[Chore, ...]:
    """What only time brings about, and how often somebody looks."""
    return (
        Chore("runs", 1.0, broker.syncing.close_due),
        Chore("schedules", 1.0, broker.scheduling.fire),
        Chore("audit chain", 1.0, Chaining(broker.db).chain),
        Chore("audit head", 3600.0, Chaining(broker.db).tell),
        Chore("letters", 1.0, broker.delivering.begin),
        Chore("pauses", 5.0, broker.pausing.recover),
        Chore("reminders", 60.0, broker.reminding.remind),
        Chore("tokens", 10.0, broker.vault.begin),
        Chore("lapsing grants", 600.0, broker.vault.warn),
        Chore("credentials seen", 30.0, broker.callers.flush),
        Chore("detached people", 60.0, broker.adopting.sweep),
        Chore("drafts", 60.0, broker.connecting.sweep),
        Chore("links", 60.0, broker.authorizing.sweep),
        Chore("actions", 60.0, broker.authenticating.sweep),
        Chore("events", 0.1, broker.publishing.publish),  # behind those that bring some about
        Chore("webhooks", 0.1, broker.calling.begin),
        Chore("retention", 3600.0, Retaining(broker.db).sweep),
    )


def _post(settings: Settings) -> Post | None:
    """The mail server and who writes; None where letters wait for one."""
    if settings.smtp_url is None:
        return None
    try:
        return Post.of(settings.smtp_url.get_secret_value(), settings.smtp_from or "")
    except ValueError as error:
        raise Misconfigured(f"BROKER_SMTP_URL is set, but {error}.") from None
