"""The desktop half of the assembly: window, notifications, icon, start at login. A headless process never loads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exlab_wizard.application import Inbox, MainLoop
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.watcher import NotificationWatcher
from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.launch import Launch, Opened
from exlab_wizard.process.autostart.entry import AutostartRepair
from exlab_wizard.process.supervisor import Service, Supervised
from exlab_wizard.tray.icon.controller import Icon, IconActions, IconController
from exlab_wizard.tray.icon.host import TrayHost
from exlab_wizard.tray.icon.menu import Act, read_headline
from exlab_wizard.tray.icon.x11 import on_display_end
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_notification import NotificationPrompt
from exlab_wizard.tray.quit_ports import QuitPrompt, Window
from exlab_wizard.tray.window_launcher import WindowLauncher


def build_desktop(
    opened: Opened,
    launch: Launch,
    inbox: Inbox,
    login_url: Callable[[str], str | None],
    build_quit: Callable[[Window, Sequence[QuitPrompt]], QuitCoordinator],
) -> tuple[Window, QuitCoordinator, list[Service], IconController]:
    """Build the desktop, and between its parts the quit, which closes the window and asks by notification.

    Return the window, the quit, the services in the order of their start, and the icon, which is one of them. Nothing
    runs yet. `login_url` returns a URL that lets a browser in once.
    """
    options, settings, presence = opened.options, opened.settings, launch.presence

    def quiet() -> bool:
        """Whether notifications are unwanted now: switched off, or the operator is looking at the window."""
        return presence.focused or not settings.current.notifications.enabled

    window = WindowLauncher(
        options.state_dir.root,
        login_url,
        presence,
        opened.clock,
        at_start=options.window,
        on_closed=lambda: inbox.put(MainLoop.window_closed),
    )
    notifier = Notifications(window.open)
    prompt = NotificationPrompt(notifier, quiet, opened.clock, settings.current.quit.window_s)
    coordinator = build_quit(window, [prompt])
    watcher = NotificationWatcher(
        opened.store,
        notifier.show,
        launch.recovery,
        opened.clock,
        quiet=quiet,
        offline_after_s=lambda: settings.current.notifications.offline_after_s,
        over=lambda: coordinator.phase is Phase.STOPPED,
    )
    launch.changes.subscribe(watcher.changed)
    icon = _icon(opened, launch, window, coordinator, inbox)
    launch.supervisor.add(
        Supervised("notifications", lambda: notifier.alive and watcher.alive, "look at the window for news"),
        Supervised("icon", lambda: icon.alive, "the window is there, and exlab-wizard quit"),
    )
    autostart = AutostartRepair(options.state_dir, options.config)
    return window, coordinator, [window, notifier, watcher, icon, autostart], icon


def _icon(
    opened: Opened, launch: Launch, window: WindowLauncher, coordinator: QuitCoordinator, inbox: Inbox
) -> IconController:
    store, clock = opened.store, opened.clock

    def make_icon(state: HeadlineState, act: Callable[[Act], None], lost: Callable[[], None]) -> Icon:
        from exlab_wizard.tray.icon.icon import TrayIcon  # noqa: PLC0415 - fails where no icon can be shown

        on_display_end(lost)  # by now GTK has opened it
        return TrayIcon(state, opened.options.state_dir.pictures, act)

    def read_state() -> HeadlineState:
        return read_headline(store, launch.id, clock, coordinator.phase, launch.supervisor, launch.safe_mode)

    return IconController(
        read_state=read_state,
        changes=launch.changes,
        window=window,
        actions=IconActions(
            quit_wanted=lambda trigger: inbox.put(lambda main: main.quit_wanted(trigger)),
            answer=coordinator.post,
            session_ended=lambda: inbox.put(MainLoop.session_ends),
            pause=lambda: store.launches.pause(launch.id, clock.now()),
            resume=lambda: store.launches.resume(launch.id),
        ),
        host=TrayHost,
        make_icon=make_icon,
        window_at_start=opened.options.window,
        release=store.database.release,
    )
