"""A program that dies of SIGKILL by itself, at no point at all."""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    os.kill(os.getpid(), signal.SIGKILL)
