"""The desktop half of the assembly: window, notifications, icon, start at login. A headless process never loads it."""

from __future__ import annotations

from collections.abc import Callable

from exlab_wizard.application import Desktop, Display, Inbox, MainLoop
from exlab_wizard.desktop.notifications.notifier import Notifications
from exlab_wizard.desktop.notifications.watcher import NotificationWatcher
from exlab_wizard.domain.headline import HeadlineState
from exlab_wizard.domain.quit import Phase
from exlab_wizard.launch import Launch, Opened
from exlab_wizard.process.autostart.entry import AutostartRepair
from exlab_wizard.process.supervisor import Supervised
from exlab_wizard.tray.icon.controller import Icon, IconActions, IconController
from exlab_wizard.tray.icon.host import TrayHost
from exlab_wizard.tray.icon.menu import Act, read_headline
from exlab_wizard.tray.icon.x11 import on_display_end
from exlab_wizard.tray.quit_coordinator import QuitCoordinator
from exlab_wizard.tray.quit_notification import NotificationPrompt
from exlab_wizard.tray.window_launcher import WindowLauncher


def build_display(opened: Opened, launch: Launch, inbox: Inbox, login_url: Callable[[str], str | None]) -> Display:
    """Build window and notifications; `login_url` returns a URL that lets a browser in once."""
    options, settings, presence = opened.options, opened.settings, launch.presence

    def quiet() -> bool:
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
    return Display(window=window, notifier=notifier, prompt=prompt, quiet=quiet)


def build_desktop(
    opened: Opened, launch: Launch, inbox: Inbox, display: Display, coordinator: QuitCoordinator
) -> Desktop:
    """Build what shows how things stand, a quit included."""
    settings, notifier = opened.settings, display.notifier
    watcher = NotificationWatcher(
        opened.store,
        notifier.show,
        launch.recovery,
        opened.clock,
        quiet=display.quiet,
        offline_after_s=lambda: settings.current.notifications.offline_after_s,
        over=lambda: coordinator.phase is Phase.STOPPED,
    )
    launch.changes.subscribe(watcher.changed)
    icon = _icon(opened, launch, display.window, coordinator, inbox)
    launch.supervisor.add(
        Supervised(
            "notifications", lambda: notifier.alive and watcher.alive, "none are shown; look at the window instead"
        ),
        Supervised("icon", lambda: icon.alive, "use the window, and quit with `exlab-wizard quit`"),
    )
    autostart = AutostartRepair(opened.options.state_dir, opened.options.config)
    return Desktop(display=display, watcher=watcher, icon=icon, autostart=autostart)


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
