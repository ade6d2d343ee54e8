"""Ctrl-C and SIGTERM, which no code in between can hide."""

import signal
import sys
import threading
from dataclasses import dataclass

#: Seconds until a signal is sent again whose exception was ignored.
PAUSE = 0.01


@dataclass
class Interruption:
    """Makes SIGINT and SIGTERM a ``KeyboardInterrupt``, and knows which of them came."""

    number: signal.Signals | None = None
    """The first signal that came."""

    def heed(self) -> None:
        """Listen to both; a SIGINT that this process was started to ignore is still ignored."""
        signal.signal(signal.SIGTERM, self._interrupt)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupt)
        sys.unraisablehook = self._interrupt_again

    def _interrupt(self, number: int, _frame: object) -> None:
        self.number = self.number or signal.Signals(number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another one does not wait
        raise KeyboardInterrupt

    def _interrupt_again(self, ignored: "sys.UnraisableHookArgs") -> None:
        """Send the signal again where exceptions are ignored, as in a destructor."""
        if self.number is None or not issubclass(ignored.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)
            return
        signal.signal(self.number, self._interrupt)
        again = threading.Timer(PAUSE, signal.raise_signal, [self.number])
        again.daemon = True
        again.start()
