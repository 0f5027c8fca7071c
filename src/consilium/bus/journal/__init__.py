"""The journal: every message kept in order, chained by hashes, durable when acknowledged."""

from consilium.bus.journal.opening import open_journal
from consilium.bus.journal.port import GENESIS, Head, Journal, Progress, Recorded, Verified

__all__ = ["GENESIS", "Head", "Journal", "Progress", "Recorded", "Verified", "open_journal"]
