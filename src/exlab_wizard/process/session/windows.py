"""Windows: a hidden window receives the end of the session, a console handler the closing of the console.

Written to the system's documentation. A top-level window gets `WM_QUERYENDSESSION` and then
`WM_ENDSESSION`; while the latter is answered the process lives, up to five seconds, or longer while a reason to block
stands and the operator waits. Both the window and its messages belong to the one thread that made it. A console program
is ended as soon as its control handler returns.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    import logging
    import threading
    from ctypes import wintypes
    from typing import Final

    from exlab_wizard.errors import ExlabError
    from exlab_wizard.process.session.port import NOTHING, WHO, WHY, Inhibited, SessionCallbacks

    log = logging.getLogger(__name__)

    LAST_SECONDS: Final = 5.0
    """How long the system lets a process answer that its session ends; the quit ends it before."""
    _WM_CLOSE: Final = 0x0010
    _WM_QUERYENDSESSION: Final = 0x0011
    _WM_ENDSESSION: Final = 0x0016
    _WM_POWERBROADCAST: Final = 0x0218
    _WM_APP_INHIBIT: Final = 0x8001
    _PBT_APMRESUMEAUTOMATIC: Final = 0x0012
    _ES_CONTINUOUS: Final = 0x80000000
    _ES_SYSTEM_REQUIRED: Final = 0x00000001
    _CONSOLE_ENDS: Final = frozenset({2, 5, 6})  # closed, logged off, shut down
    _LRESULT = ctypes.c_ssize_t
    _PROCEDURE = ctypes.WINFUNCTYPE(_LRESULT, wintypes.HWND, wintypes.UINT, wintypes.WPARAM, wintypes.LPARAM)
    _CONTROL = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)

    class _WindowClass(ctypes.Structure):
        _fields_ = (
            ("style", wintypes.UINT),
            ("procedure", _PROCEDURE),
            ("class_extra", ctypes.c_int),
            ("window_extra", ctypes.c_int),
            ("instance", wintypes.HINSTANCE),
            ("icon", wintypes.HANDLE),
            ("cursor", wintypes.HANDLE),
            ("background", wintypes.HANDLE),
            ("menu_name", wintypes.LPCWSTR),
            ("class_name", wintypes.LPCWSTR),
        )

    class HiddenWindow:
        """A top-level window that is never shown: a message-only window would receive nothing."""

        needed_when_idle = True  # nothing else reaches a program without a console

        def __init__(self) -> None:
            self._user = ctypes.WinDLL("user32", use_last_error=True)
            self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            self._declare()
            self._wanted = NOTHING
            self._window: int | None = None
            self._over = threading.Event()
            self._callbacks: SessionCallbacks | None = None
            self._announced = False
            # The system keeps only their addresses.
            self._procedure = _PROCEDURE(self._on_message)
            self._control = _CONTROL(self._on_console)

        def inhibit(self, wanted: Inhibited) -> None:
            """Inhibit exactly this from now on."""
            self._wanted = wanted
            if self._window is not None:
                self._user.PostMessageW(self._window, _WM_APP_INHIBIT, 0, 0)

        def stop(self) -> None:
            """Inhibit nothing and let `run` return."""
            self._over.set()
            if self._window is not None:
                self._user.PostMessageW(self._window, _WM_CLOSE, 0, 0)

        def run(self, callbacks: SessionCallbacks) -> None:
            """Listen until `stop`.

            Raises:
                ExlabError: the window cannot be created.
            """
            self._callbacks = callbacks
            instance = self._kernel.GetModuleHandleW(None)
            kind = _WindowClass(procedure=self._procedure, instance=instance, class_name="ExLabWizardSession")
            self._user.RegisterClassW(ctypes.byref(kind))
            self._window = self._user.CreateWindowExW(
                0, kind.class_name, WHO, 0, 0, 0, 0, 0, None, None, instance, None
            )
            if not self._window:
                msg = f"no window: {ctypes.WinError(ctypes.get_last_error())}"
                raise ExlabError(msg)
            # Only now: the handler of a process without a console is never called, and harmless.
            self._kernel.SetConsoleCtrlHandler(self._control, True)  # noqa: FBT003 - the system's own form
            self._apply()
            message = wintypes.MSG()
            while not self._over.is_set() and self._user.GetMessageW(ctypes.byref(message), None, 0, 0) > 0:
                self._user.DispatchMessageW(ctypes.byref(message))
            self._kernel.SetConsoleCtrlHandler(self._control, False)  # noqa: FBT003 - likewise
            self._wanted = NOTHING
            self._apply()
            self._window = None

        def _declare(self) -> None:
            handle, word, dword, text = wintypes.HWND, wintypes.UINT, wintypes.DWORD, wintypes.LPCWSTR
            numbers = [ctypes.c_int] * 4
            self._user.CreateWindowExW.restype = handle
            self._user.DefWindowProcW.argtypes = [handle, word, wintypes.WPARAM, wintypes.LPARAM]
            self._user.DefWindowProcW.restype = _LRESULT
            self._user.PostMessageW.argtypes = [handle, word, wintypes.WPARAM, wintypes.LPARAM]
            above = [handle, wintypes.HMENU, wintypes.HINSTANCE, wintypes.LPVOID]
            self._user.CreateWindowExW.argtypes = [dword, text, text, dword, *numbers, *above]
            self._user.ShutdownBlockReasonCreate.argtypes = [handle, text]
            self._user.ShutdownBlockReasonDestroy.argtypes = [handle]
            self._kernel.GetModuleHandleW.restype = wintypes.HMODULE
            self._kernel.GetModuleHandleW.argtypes = [text]
            self._kernel.SetThreadExecutionState.argtypes = [dword]

        def _apply(self) -> None:
            """Notify the system, from the thread that the window belongs to, as it demands."""
            if self._wanted.shutdown:
                self._user.ShutdownBlockReasonCreate(self._window, WHY)
            else:
                self._user.ShutdownBlockReasonDestroy(self._window)
            flag = _ES_SYSTEM_REQUIRED if self._wanted.sleep else 0
            self._kernel.SetThreadExecutionState(_ES_CONTINUOUS | flag)

        def _on_message(self, window: int, number: int, word: int, more: int) -> int:
            if number == _WM_QUERYENDSESSION:
                return 1  # never a veto: others may still say no, and then nothing was ended for nothing
            if number == _WM_ENDSESSION:
                if word:
                    self._session_ends()
                return 0
            if number == _WM_POWERBROADCAST and word == _PBT_APMRESUMEAUTOMATIC and self._callbacks is not None:
                self._callbacks.woke()
            elif number == _WM_APP_INHIBIT:
                self._apply()
            result: int = self._user.DefWindowProcW(window, number, word, more)
            return result

        def _on_console(self, event: int) -> bool:
            if event not in _CONSOLE_ENDS:
                return False  # Ctrl-C and Ctrl-Break are signals
            self._session_ends()
            return True

        def _session_ends(self) -> None:
            """Notify, and stay: the system ends the process as soon as this returns."""
            if self._callbacks is not None and not self._announced:
                self._announced = True
                self._callbacks.session_ends()
            self._over.wait(LAST_SECONDS)
