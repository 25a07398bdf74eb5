"""What can be wrong with a ledger or with what its clients were told. Each is one broken guarantee."""


class Violation(Exception):
    """A guarantee does not hold."""


class DoubleEffect(Violation):
    """One key, one hold or one reversal took effect more than once (G2, G3)."""


class LostUpdate(Violation):
    """Versions have a gap or a double, or a balance does not follow from the one before it (G1, G9)."""


class BrokenChain(Violation):
    """A hash does not follow from the one before it, the entry and its transaction (G9)."""


class LimitCrossed(Violation):
    """A balance is outside of its wallet's floor and ceiling (G8)."""


class MoneyLost(Violation):
    """What is in the wallets is not what came in less what went out (G7)."""


class Unexplained(Violation):
    """Transactions, entries, holds or wallets disagree with one another (G9)."""


class AcknowledgedLost(Violation):
    """A client was told of a decision that the ledger does not have (G10)."""


class Phantom(Violation):
    """The ledger has what nobody asked for, or what a client was told had not happened (G2, G12)."""


class WrongReceipt(Violation):
    """What a client was told differs from what is stored (G3)."""


class WrongOrder(Violation):
    """What had been completed before something else began has the higher version, or a read saw neither (G1)."""


class Deadlocked(Violation):
    """The database had to break a deadlock."""
