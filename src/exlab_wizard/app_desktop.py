"""The desktop half of the assembly: window, notifications, icon, start at login. A headless process never loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exlab_wizard.application import Inbox, QuitWanted, SessionEnds, WindowClosed
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.watcher import NotificationWatcher
from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase, QuitEvent, QuitTrigger
from exlab_wizard.launch import Launch, Opened
from exlab_wizard.process.autostart.entry import AutostartRepair
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Service, Supervised
from exlab_wizard.store.store import Store
from exlab_wizard.tray.icon.controller import Icon, IconController
from exlab_wizard.tray.icon.headline import HeadlineReader
from exlab_wizard.tray.icon.host import tray_host
from exlab_wizard.tray.icon.menu import Act
from exlab_wizard.tray.icon.x11 import on_display_end
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_notification import NotificationPrompt
from exlab_wizard.tray.window_launcher import WindowLauncher


@dataclass(frozen=True, slots=True, kw_only=True)
class Desktop:
    """The parts that exist before the quit, which closes the window and asks by notification."""

    window: WindowLauncher
    notifier: Notifications
    quiet: Callable[[], bool]
    """Whether notifications are unwanted now: switched off, or the operator is looking at the window."""
    prompt: NotificationPrompt


@dataclass(frozen=True, slots=True, kw_only=True)
class MenuActions:
    """What the operator can do from the icon's menu. All of it is for any thread."""

    inbox: Inbox
    coordinator: QuitCoordinator
    store: Store
    launch_id: int
    clock: SteadyClock

    def quit_wanted(self, trigger: QuitTrigger) -> None:
        """Quit; while the question of a quit is open: force."""
        self.inbox.put(QuitWanted(trigger))

    def answer(self, event: QuitEvent) -> None:
        """Answer the question of the quit."""
        self.coordinator.post(event)

    def session_ended(self) -> None:
        """Quit as at the end of the session: the desktop is gone."""
        self.inbox.put(SessionEnds())

    def pause(self, *, paused: bool) -> None:
        """Pause or resume syncing; for a thread that ends afterwards.

        Raises:
            StoreError: it could not be written.
        """
        try:
            if paused:
                self.store.launches.pause(self.launch_id, self.clock.now())
            else:
                self.store.launches.resume(self.launch_id)
        finally:
            self.store.database.release()


def build_desktop(opened: Opened, launch: Launch, login_url: Callable[[str], str | None], inbox: Inbox) -> Desktop:
    """Build window and notifications; `login_url` returns a URL that lets a browser in once. Nothing runs yet."""
    options, settings, presence = opened.options, opened.settings, launch.presence

    def quiet() -> bool:
        return presence.focused or not settings.current.notifications.enabled

    window = WindowLauncher(
        options.state_dir.root,
        login_url,
        presence,
        opened.clock,
        at_start=options.window,
        on_closed=lambda: inbox.put(WindowClosed()),
    )
    notifier = Notifications(window.open)
    prompt = NotificationPrompt(notifier, quiet, opened.clock, settings.current.quit.window_s)
    return Desktop(window=window, notifier=notifier, quiet=quiet, prompt=prompt)


def desktop_services(
    opened: Opened, launch: Launch, desktop: Desktop, coordinator: QuitCoordinator, inbox: Inbox
) -> tuple[list[Service], IconController]:
    """Return the services of the desktop in the order of their start, and the icon, which is one of them."""
    settings, notifier = opened.settings, desktop.notifier
    watcher = NotificationWatcher(
        opened.store,
        notifier.show,
        launch.recovery,
        opened.clock,
        quiet=desktop.quiet,
        offline_after_s=lambda: settings.current.notifications.offline_after_s,
        over=lambda: coordinator.phase is Phase.STOPPED,
    )
    launch.changes.subscribe(watcher.changed)
    actions = MenuActions(
        inbox=inbox, coordinator=coordinator, store=opened.store, launch_id=launch.id, clock=opened.clock
    )
    icon = _icon(opened, launch, desktop.window, actions)
    for component in (
        Supervised("notifications", lambda: notifier.alive and watcher.alive, "look at the window for news"),
        Supervised("icon", lambda: icon.alive, "the window is there, and exlab-wizard quit"),
    ):
        launch.supervisor.add(component)
    autostart = AutostartRepair(opened.options.state_dir, opened.options.config)
    return [desktop.window, notifier, watcher, icon, autostart], icon


def _icon(opened: Opened, launch: Launch, window: WindowLauncher, actions: MenuActions) -> IconController:
    def make_icon(state: HeadlineState, act: Callable[[Act], None], lost: Callable[[], None]) -> Icon:
        from exlab_wizard.tray.icon.icon import TrayIcon  # noqa: PLC0415 - fails where no icon can be shown

        on_display_end(lost)  # by now GTK has opened it
        return TrayIcon(state, opened.options.state_dir.pictures, act)

    headlines = HeadlineReader(
        opened.store, launch.id, opened.clock, actions.coordinator, launch.supervisor, launch.safe_mode
    )
    return IconController(
        read_state=headlines.read,
        changes=launch.changes,
        window=window,
        actions=actions,
        host=tray_host,
        make_icon=make_icon,
        window_at_start=opened.options.window,
        release=opened.store.database.release,
    )
