"""Ctrl-C and SIGTERM, which no code in between can hide."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

#: Seconds until a signal is sent again whose exception was ignored.
PAUSE = 0.01


@dataclass
class Interruption:
    """Makes SIGINT and SIGTERM a ``KeyboardInterrupt``, and knows which of them came."""

    number: signal.Signals | None = None
    """The first signal that came."""

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Listen to both; a SIGINT that this process was started to ignore is still ignored."""
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        hook = sys.unraisablehook
        sys.unraisablehook = self._or_again(hook)
        for number, handler in before.items():
            if handler is not signal.SIG_IGN or number == signal.SIGTERM:
                signal.signal(number, self._interrupt)
        try:
            yield
        finally:
            sys.unraisablehook = hook
            for number, handler in before.items():
                if handler is not None:  # it is None where it is not one of Python
                    signal.signal(number, handler)

    def _interrupt(self, number: int, _frame: object) -> None:
        self.number = self.number or signal.Signals(number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another one does not wait
        raise KeyboardInterrupt

    def _or_again(self, hook: Callable[["sys.UnraisableHookArgs"], Any]) -> Callable[..., None]:
        """A hook that sends the signal again where exceptions are ignored, as in a destructor."""

        def ignored(about: "sys.UnraisableHookArgs") -> None:
            if self.number is None or not issubclass(about.exc_type, KeyboardInterrupt):
                hook(about)
                return
            signal.signal(self.number, self._interrupt)
            again = threading.Timer(PAUSE, signal.raise_signal, [self.number])
            again.daemon = True
            again.start()

        return ignored
