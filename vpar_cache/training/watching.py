"""What is seen of a training while it runs: a live line, and the caller's function after each epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from vpar_cache.base.progress import progress


@dataclass(frozen=True)
class Epoch:
    """An epoch that ended, as `on_epoch` gets it."""

    epoch: int
    """Its number, from 1 to `epochs`."""
    epochs: int
    """How many the settings ask for."""
    loss: float
    """The mean over the train tracklets."""
    learning_rate: float
    """The learning rate of this epoch."""
    validation_loss: float | None
    """The mean over the validation tracklets; None where nobody is held out."""
    validation_f1: float | None
    """The vtf F1 of the validation tracklets at the threshold 0.45, from 0 to 1; None where nobody is held out."""
    seconds: float
    """How long its training took, without the validation."""


OnEpoch = Callable[[Epoch], None]
"""Called after each epoch. An exception that it raises ends the training."""
_IN_TERMINAL = "{desc}: {remaining} left{postfix} |{bar}|"  # the bar comes last: it has what the text leaves


class Watch:
    """The line of progress of one training, over all tracklets of all epochs."""

    def __init__(self, done: int, epochs: int, num_train: int, on_epoch: OnEpoch | None) -> None:
        """`done`: epochs that an earlier call finished."""
        self._num_train = num_train
        self._on_epoch = on_epoch
        self._bar = progress(
            total=epochs * num_train,
            initial=done * num_train,
            unit="tracklet",
            desc=f"epoch {done}/{epochs}",
            in_terminal=_IN_TERMINAL,
            smoothing=0,  # the time left follows from all that was done so far
            dynamic_ncols=True,
        )

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def trained(self, count: int) -> None:
        """Count tracklets of the epoch that runs."""
        self._bar.update(count)

    def ended(self, epoch: Epoch) -> None:
        """Show the numbers of an epoch, and hand them to the caller."""
        f1 = "" if epoch.validation_f1 is None else f"vtf F1 {100 * epoch.validation_f1:.2f}, "
        digits = 3 if epoch.seconds < 10 else 1
        numbers = f"loss {epoch.loss:.4g}, lr {epoch.learning_rate:.3g}, {f1}{epoch.seconds:.{digits}f} s"
        self._bar.update(epoch.epoch * self._num_train - self._bar.n)
        self._bar.set_description_str(f"epoch {epoch.epoch}/{epoch.epochs}", refresh=False)
        self._bar.set_postfix_str(numbers)
        if self._on_epoch is not None:
            self._bar.clear()  # what the caller prints has a line of its own
            self._on_epoch(epoch)
            self._bar.refresh()
