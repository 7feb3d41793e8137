"""What connectors can be made for, where a test calls none of it."""

from __future__ import annotations

from broker.db.seal import Seal
from broker.service.programs import Programs
from providers.egress import Egress
from providers.registry import Registry

SEAL = Seal({"k1": b"1" * 32})
KINDS = Programs(Registry(Egress()), SEAL, "")
