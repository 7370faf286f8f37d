"""Deletes everything from an incoming folder that the run does not have: leftovers of earlier attempts."""

from __future__ import annotations

from collections.abc import Collection

from exlab_wizard.transfer.files.tree import Tree


def sweep(tree: Tree, files: Collection[str], links: Collection[str], folders: Collection[str]) -> None:
    """Delete every entry of `tree` that is not one of the named files, symlinks or folders, of that very kind.

    Raises:
        OSError: something cannot be deleted.
    """
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        prefix = f"{folder}/" if folder else ""
        unknown: list[tuple[str, bool]] = []
        with tree.entries(folder) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_symlink():
                    if path not in links:
                        unknown.append((path, False))
                elif entry.is_dir(follow_symlinks=False):
                    if path in folders:
                        waiting.append(path)
                    else:
                        unknown.append((path, True))
                elif path not in files or not entry.is_file(follow_symlinks=False):
                    unknown.append((path, False))
        for path, is_folder in unknown:
            _remove(tree, path, is_folder=is_folder)


def _remove(tree: Tree, path: str, *, is_folder: bool) -> None:
    if not is_folder:
        tree.unlink(path)
        return
    folders = [path]
    for folder in folders:  # grows while it is walked
        with tree.entries(folder) as entries:
            found = [(f"{folder}/{entry.name}", entry.is_dir(follow_symlinks=False)) for entry in entries]
        for name, below in found:
            if below:
                folders.append(name)
            else:
                tree.unlink(name)
    for folder in reversed(folders):
        tree.rmdir(folder)
