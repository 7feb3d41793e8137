"""The broker for Python services: who does a step run as, and with what credential.

Closed by default: where the broker cannot be reached, a call ends with Later and the step waits.
There is no default person.

    async with Broker("https://broker.example", key) as broker:
        answer = await broker.resolve(
            Step(
                connector="salesforce",
                id="s4",
                type="retrieve_data",
                execution="r-88412",
                subject=Subject(user_name="kim.lee@acme.example"),
            )
        )
        match answer:
            case Resolved(run_as=who, credential=credential):
                await run(who, credential)
            case Asked(link=link):
                await show(link.url)
            case Paused(pause=pause):
                await park(pause.id)
            case Refused(reason=why, message=text):
                await fail(why, text)

It needs httpx and nothing else. `broker.client.fake` has a FakeBroker for the tests of a service.
"""

from broker.client.acting import Pending, Performed
from broker.client.answers import (
    Act,
    Answer,
    Asked,
    BatchAnswer,
    Credential,
    Decision,
    Explained,
    FlowWarning,
    Identity,
    Invalid,
    Link,
    Looked,
    NotEvaluated,
    Parked,
    Paused,
    PauseState,
    Reason,
    Refused,
    Resolved,
    RunAs,
    Waiting,
)
from broker.client.broker import Broker
from broker.client.happenings import Event
from broker.client.pauses import Claim, Pause
from broker.client.problems import BrokerError, Later, Problem, Unreadable, Wrong
from broker.client.questions import Step, Subject
from broker.client.webhooks import Forged, verify_webhook

__all__ = [
    "Act",
    "Answer",
    "Asked",
    "BatchAnswer",
    "Broker",
    "BrokerError",
    "Claim",
    "Credential",
    "Decision",
    "Event",
    "Explained",
    "FlowWarning",
    "Forged",
    "Identity",
    "Invalid",
    "Later",
    "Link",
    "Looked",
    "NotEvaluated",
    "Parked",
    "Pause",
    "PauseState",
    "Paused",
    "Pending",
    "Performed",
    "Problem",
    "Reason",
    "Refused",
    "Resolved",
    "RunAs",
    "Step",
    "Subject",
    "Unreadable",
    "Waiting",
    "Wrong",
    "verify_webhook",
]
