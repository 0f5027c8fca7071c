"""Paths through a council's world that random steps seldom find: reviews, thresholds, and the way back."""

from council_oracle import DAY, HOUR, MINUTE
from council_world import World


class Paths(World):
    """A world with the paths; each is checked message by message like all else."""

    def loosen(self, profile: str, first: str, second: str) -> None:
        """Let one person ask for a looser profile, and another, or the same, approve it."""
        self.command("profile", {"profile": profile, "duration_minutes": 60}, first)
        self.approve(second)

    def reviewed_in_unrest(self) -> None:
        """Review a freeze while there are still small losses; it ends 15 minutes after the last one."""
        self.calm(2 * HOUR + MINUTE, 4, consecutive_losses=0)
        self.report(move=-0.002, positions=0)
        self.review("freeze", 2)
        self.calm(34 * MINUTE, 34, consecutive_losses=0)

    def freezes_again(self) -> None:
        """Let what froze come back before the freeze has ended, and review it too soon."""
        for span in (100 * MINUTE, 10 * MINUTE):
            self.health(faults={"reconciliation": "1 != 2"})
            self.calm(span, 5, consecutive_losses=0)
        self.calm(16 * MINUTE, 4, consecutive_losses=0)
        self.review("freeze", 2)
        self.calm(10 * MINUTE, 2, consecutive_losses=0)

    def blind_for_long(self) -> None:
        """Speak on for six minutes with an open position and a health that nobody understands."""
        for one in self.sources.values():
            one.interval_ns = MINUTE
        for _ in range(8):
            self.health("FINE")
            for name in list(self.sources):
                self.report(name, positions=1)
            self.tick(50)

    def slow_and_silent(self) -> None:
        """Let one source fall silent beside another that speaks every four hours."""
        self.report("desk")
        self.sources["desk"].interval_ns, self.sources["paper"].interval_ns = MINUTE, 4 * HOUR
        self.report("desk")
        self.report()
        self.now += 10 * MINUTE
        self.health()
        self.report()

    def at_a_threshold(self, drawdown: float, rate: float | None) -> None:
        """Be calm for long, then stand exactly at a threshold."""
        self.calm(DAY + HOUR, 5, consecutive_losses=0, win_rate=0.55)
        self.report(drawdown=drawdown, max_drawdown=drawdown, win_rate=rate)
        self.calm(2 * HOUR, 2, consecutive_losses=0)

    def _release_what_operators_hold(self) -> None:
        """Two persons end what has no end; asked again, since the supervisor refuses it in a drawdown."""
        for name, hold in sorted(self.council.holds.items()):
            if hold.owner == "operator" and hold.expires_at is None:
                self.command("release", {"hold_id": name}, "ann")
                self.approve("bob")

    def recover(self, days: int = 75) -> None:
        """Walk the path back of ordinary events and permitted reviews; LIVE and NORMAL must be at its end."""
        self.tick(600)
        self.report()
        self.health()
        silent = list(self.sources)[1:]
        for name in silent:
            del self.sources[name]
        for role in ("ceo", "cio", "cfo", "researcher"):
            if not self.council.roles[role]:
                self.command("role", {"role": role, "enabled": True})
        one = self.sources["paper"]
        one.nav = max(one.nav, 10_000.0)
        for day in range(days):
            for name in silent:  # refused until it was silent for five of its own intervals
                self.command("retire", {"source": name})
            self.calm(
                DAY - HOUR, 4, winning_days=6, losing_days=0, consecutive_losses=0, win_rate=0.7, sharpe=2.5
            )
            self.review("freeze", 2)
            self._release_what_operators_hold()
            self.calm(
                40 * MINUTE, 40, winning_days=6, losing_days=0, consecutive_losses=0, win_rate=0.7, sharpe=2.5
            )
            if (
                day > 2
                and self.council.policy.mode == "LIVE"
                and self.council.policy.profile in ("NORMAL", "AGGRESSIVE")
            ):
                return
        policy = self.council.policy
        raise AssertionError(f"I14 no way back: {policy.mode} {policy.profile} after {days} good days")
