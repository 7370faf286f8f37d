"""The safeguards without which data would be lost, doubled or damaged, and the quickest test that notices each.

To mend an entry whose text has moved: find what does the job now, and take the shortest text that occurs once.
"""

from __future__ import annotations

from typing import Final

from tests.crash.mutants.mutant import Mutant

_NOT_RAISED: Final = "Failed"
"""What `pytest.raises` dies of when nothing was raised."""

_ORDER: Final = "tests/unit/transfer/test_order.py::"
_ROWS_AFTER_BYTES: Final = f"{_ORDER}test_no_row_is_written_before_the_bytes_that_it_counts_are_durable"
_NAME_LAST: Final = f"{_ORDER}test_the_final_name_appears_when_everything_below_it_is_durable_and_is_then_made_durable"
_ONE_BY_ONE: Final = "[files flushed one by one]"
_CLAIMS: Final = "tests/unit/store/queue/test_claims.py::"
_RECOVERY: Final = "tests/unit/store/queue/test_launches.py::"
_RESUME: Final = "tests/unit/transfer/test_resume.py::"
_DESTINATION: Final = "tests/unit/transfer/test_destination.py::"
_WORKERS: Final = "tests/unit/workers/test_pool.py::"
_WATCHDOG: Final = "tests/unit/workers/test_watchdog.py::"
_COORDINATOR: Final = "tests/unit/tray/test_quit_coordinator.py::"

_DURABLE: Final = (
    Mutant(
        "the flush before the checkpoint of a big file",
        "transfer/copy/big_file.py",
        "                durability.sync_data(self._target)",
        "                pass",
        (_ROWS_AFTER_BYTES,),
    ),
    Mutant(
        "the flush before the last row of a big file",
        "transfer/copy/big_file.py",
        "                sync_file(self._target)",
        "                pass",
        (_ROWS_AFTER_BYTES,),
    ),
    Mutant(
        "the flush at once before the rows of small files",
        "transfer/copy/small_files.py",
        "                attempt.target.sync_all()",
        "                pass",
        (f"{_ROWS_AFTER_BYTES}[all flushed at once]",),
    ),
    Mutant(
        "the flush one by one before the rows of small files",
        "transfer/copy/small_files.py",
        "durability.sync_each([row.path for row in rows], attempt.target.opened)",
        "pass",
        (_ROWS_AFTER_BYTES + _ONE_BY_ONE,),
    ),
    Mutant(
        "the flush of the run's folders before publishing",
        "transfer/copy/incoming.py",
        "            target.sync_folder(name)",
        "            pass",
        (_NAME_LAST + _ONE_BY_ONE,),
    ),
    Mutant(
        "the flush of the notes' folder before publishing",
        "transfer/walk.py",
        "                tree.sync_folder(name)",
        "                pass",
        (_NAME_LAST,),
    ),
    Mutant(
        "the flush of the notes themselves",
        "transfer/destination/publish.py",
        "        sync_file(fd)\n    tree.replace",
        "    tree.replace",
        (_NAME_LAST,),
    ),
    Mutant(
        "the flush of the way to the final path after publishing",
        "transfer/destination/publish.py",
        "        sync_way(destination, final)",
        "        pass",
        (_NAME_LAST,),
    ),
    Mutant(
        "a commit that survives a power cut",
        "store/sqlite/database.py",
        '("synchronous", 3)',
        '("synchronous", 1)',
        ("tests/unit/store/sqlite/test_database.py::test_every_connection_is_durable_and_holds_foreign_keys",),
    ),
    Mutant(
        "the rollback of a transaction that raised",
        "store/sqlite/database.py",
        """\
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
""",
        """\
                connection.execute("COMMIT")
            finally:
                pass
""",
        ("tests/unit/store/sqlite/test_database.py::test_a_transaction_that_raises_is_undone",),
    ),
    Mutant(
        "the connection that a thread keeps which hangs in the database",
        "store/sqlite/connections.py",
        "            if not held.lock.acquire(blocking=False):",
        "            if not held.lock.acquire(blocking=False) and False:",
        (
            "tests/unit/store/sqlite/test_connections.py::test_a_database_that_is_closed_under_a_thread_that_hangs_in_it_ends_nobody",
        ),
    ),
)

_CLAIMED: Final = (
    Mutant(
        "the claim's drain guard",
        "store/queue/claims.py",
        "    .where(_job.id == _next_due, _gate_open)",
        "    .where(_job.id == _next_due)",
        (f"{_CLAIMS}test_a_launch_that_ended_claims_nothing_and_an_opened_gate_lets_claims_through",),
    ),
    Mutant(
        "the claim's pause guard",
        "store/queue/claims.py",
        "        launches.c.paused_since.is_(None),\n",
        "",
        ("tests/integration/recovery/test_pause.py::test_nothing_is_claimed_while_paused",),
    ),
    Mutant(
        "the look for a copy that began just after the pause",
        "workers/watchdog.py",
        "        if self._paused:\n            # A job",
        "        if False:\n            # A job",
        (
            "tests/integration/recovery/test_pause.py::test_a_transfer_that_begins_just_after_the_pause_was_seen_is_stopped_all_the_same",
        ),
    ),
    Mutant(
        "the comparison of the claim at a result",
        "store/queue/claims.py",
        'sa.and_(_job.id == _b("job"), _job.claim_id == _b("claim"), IS_IN_FLIGHT)',
        'sa.and_(_job.id == _b("job"), IS_IN_FLIGHT)',
        (f"{_CLAIMS}test_a_worker_that_lost_its_claim_changes_nothing[taken_over]",),
    ),
    Mutant(
        "the comparison of the claim at a checkpoint",
        "store/queue/checkpoints.py",
        'where(_job.id == _b("job"), _job.claim_id == _b("claim"), IS_IN_FLIGHT)',
        'where(_job.id == _b("job"), IS_IN_FLIGHT)',
        (f"{_CLAIMS}test_a_worker_that_lost_its_claim_changes_nothing[taken_over]",),
    ),
    Mutant(
        "the end of an attempt whose claim is lost",
        "workers/checkpoints.py",
        "        if not self._retried(write):\n",
        "        if self._retried(write) is None:\n",
        (f"{_WORKERS}test_a_checkpoint_after_the_claim_was_lost_ends_the_attempt",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the look for claims that are gone",
        "workers/pool.py",
        "if not self._store.jobs.still_claimed(one.job.job_id, one.job.claim_id):",
        "if one.job.job_id < 0:",
        (f"{_WORKERS}test_a_transfer_whose_claim_is_gone_is_told_to_stop_and_others_are_not",),
    ),
    Mutant(
        "the requeueing of claims that nobody holds",
        "workers/pool.py",
        "for job_id, claim_id in unheld & self._unheld:",
        "for job_id, claim_id in set[tuple[int, str]]():",
        (f"{_WORKERS}test_a_claim_that_went_through_although_an_error_was_reported_finds_a_worker_again",),
    ),
    Mutant(
        "the second look before a claim counts as nobody's",
        "workers/pool.py",
        "for job_id, claim_id in unheld & self._unheld:",
        "for job_id, claim_id in unheld:",
        (f"{_WORKERS}test_a_claim_that_went_through_although_an_error_was_reported_finds_a_worker_again",),
    ),
    Mutant(
        "keeping a result until the database takes it",
        "workers/pool.py",
        "                if self._pause(ERROR_BACKOFF_SECONDS):\n                    raise\n                continue",
        "                raise",
        (f"{_WORKERS}test_a_result_that_cannot_be_written_is_kept_until_it_can",),
    ),
)

_RECOVERED: Final = (
    Mutant(
        "the one transaction of recovery",
        "store/queue/launches.py",
        "            marked = transaction.change(REQUEUE_RESUMABLE)",
        """\
            for word in ("COMMIT", "BEGIN IMMEDIATE"):
                self._db.connection().execute(word)
            marked = transaction.change(REQUEUE_RESUMABLE)""",
        (f"{_RECOVERY}test_killed_anywhere_inside_recovery_and_run_again_gives_the_same_result",),
    ),
    Mutant(
        "the requeueing of what a dead launch had in flight",
        "store/queue/launches.py",
        "cut_off += transaction.change(REQUEUE_IN_FLIGHT, of_launch | budgets)",
        "cut_off += len(of_launch | budgets)",
        (f"{_RECOVERY}test_what_was_in_flight_is_queued_again_and_only_a_crash_counts_against_it",),
    ),
    Mutant(
        "the requeueing of what a quit cut off",
        "store/queue/launches.py",
        "            marked = transaction.change(REQUEUE_RESUMABLE)",
        "            marked = 1",
        (f"{_RECOVERY}test_what_a_quit_marked_is_queued_without_being_counted_again",),
    ),
    Mutant(
        "the fresh leases of a new launch",
        "store/queue/launches.py",
        'sessions = transaction.change(RENEW_LEASES, {"now": at})',
        "sessions = 1",
        (f"{_RECOVERY}test_active_sessions_get_a_fresh_ttl_and_closed_ones_stay_closed",),
    ),
    Mutant(
        "the attempt that a crash gives back",
        "store/queue/claims.py",
        "GIVEN_BACK: Final = sa.func.max(_job.attempts - ONE, ZERO)",
        "GIVEN_BACK: Final = _job.attempts",
        (f"{_RECOVERY}test_what_was_in_flight_is_queued_again_and_only_a_crash_counts_against_it",),
    ),
    Mutant(
        "the attempt that an interruption gives back",
        "domain/outcome.py",
        "attempt_given_back=True, interrupted=True)",
        "attempt_given_back=False, interrupted=True)",
        ("tests/unit/domain/test_outcome.py::test_an_interruption_gives_the_attempt_back_however_often",),
    ),
    Mutant(
        "the attempt that a wait gives back",
        "domain/outcome.py",
        "                attempt_given_back=True,\n",
        "                attempt_given_back=False,\n",
        ("tests/unit/domain/test_outcome.py::test_waiting_uses_no_attempt_and_always_ends_by_itself",),
    ),
    Mutant(
        "progress that clears the count of crashes",
        "store/queue/checkpoints.py",
        "crashes=sa.case((_moved > _job.progress_mark, ZERO), else_=_job.crashes)",
        "crashes=_job.crashes",
        (f"{_RECOVERY}test_progress_clears_the_crashes_and_doing_lost_bytes_again_does_not",),
    ),
    Mutant(
        "the end of a job that kills every launch",
        "store/queue/launches.py",
        "                if crashed:\n",
        "                if crashed and not ended:\n",
        (f"{_RECOVERY}test_a_job_that_kills_every_launch_is_given_up_and_the_others_complete",),
    ),
    Mutant(
        "one suspect at a time",
        "store/queue/claims.py",
        "sa.not_(_suspect_in_flight)",
        "sa.true()",
        (f"{_RECOVERY}test_a_job_that_kills_every_launch_is_given_up_and_the_others_complete",),
    ),
    Mutant(
        "the difference between a machine that went down and a crash",
        "store/queue/launches.py",
        '(_launch.boot_id == _b("boot_id"), "crashed")',
        '(_launch.boot_id != "", "crashed")',
        (
            f"{_RECOVERY}test_what_was_in_flight_is_queued_again_and_only_a_crash_counts_against_it[boot-2-host_restarted-counted1]",
        ),
    ),
    Mutant(
        "the instance lock",
        "process/instance_lock.py",
        "            locks.enter_context(FileLock(state_dir.lock, thread_local=False).acquire(timeout=0))\n"
        "            _lock_folder(state_dir.root, locks)",
        "            pass",
        ("tests/integration/cli/test_db.py::test_restore_is_refused_while_somebody_runs",),
    ),
    Mutant(
        "the lease that moves with the clock",
        "workers/watchdog.py",
        "            self._store.sessions.move_clock(step)",
        "            pass",
        (f"{_WATCHDOG}test_leases_keep_their_time_when_the_clock_is_set",),
    ),
)

_SENT: Final = (
    Mutant(
        "the hashing of the part that was sent before",
        "transfer/copy/big_file.py",
        "if done != self._start or self._sent_hash.hexdigest() != self._row.prefix_sha256:",
        "if done != self._start:",
        (f"{_RESUME}test_edit_inside_the_sent_prefix_with_restored_time_is_noticed",),
        dies_of="TransferError",
    ),
    Mutant(
        "the size and time by which a changed file is known on resume",
        "transfer/copy/plan.py",
        "if row is None or (row.size, row.mtime_ns) != (file.size, file.mtime_ns) or row.bytes_done <= 0 < row.size:",
        "if row is None or row.bytes_done <= 0 < row.size:",
        (f"{_RESUME}test_a_file_that_changed_between_two_attempts_is_sent_again",),
    ),
    Mutant(
        "the size by which a short file on the destination is known on resume",
        "transfer/copy/plan.py",
        "return row if row.prefix_sha256 and there.st_size >= row.bytes_done else fresh",
        "return row",
        (f"{_RESUME}test_a_file_that_the_destination_lost_in_part_is_sent_again",),
        dies_of="TransferError",
    ),
    Mutant(
        "the size by which a short finished file is known on resume",
        "transfer/copy/plan.py",
        "return row if there.st_size == row.size and row.sha256 else fresh",
        "return row",
        (f"{_RESUME}test_a_verified_file_that_the_destination_lost_in_part_is_sent_again",),
    ),
    Mutant(
        "the reading back of a big file",
        "transfer/copy/big_file.py",
        "if self._back_done != row.size or self._back_hash.hexdigest() != row.sha256:",
        "if self._back_done != row.size:",
        (f"{_RESUME}test_damage_on_the_nas_inside_the_sent_prefix_is_found_and_the_file_sent_again",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the reading back of small files",
        "transfer/copy/read_back.py",
        "        if found != row.sha256:",
        "        if not found:",
        (f"{_RESUME}test_damage_to_a_small_file_on_the_nas_is_found_before_publishing",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the reading back of what an earlier attempt sent",
        "transfer/copy/plan.py",
        "            elif row.state is FileState.COPIED:",
        "            elif row.state is FileState.COPIED and not row.sha256:",
        (f"{_RESUME}test_copied_but_unread_file_is_read_back_by_the_next_attempt",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the last look whether the run has changed",
        "transfer/walk.py",
        "check_unchanged(manifest, scan(source, self._failures, self._control.check), self._request.run_path)",
        "scan(source, self._failures, self._control.check)",
        (f"{_RESUME}test_file_that_appears_after_the_scan_defers_the_run",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the wait for a file that is young",
        "transfer/source/manifest.py",
        "        if young_from < file.mtime_ns <= young_to:",
        "        if young_to < file.mtime_ns <= young_to:",
        ("tests/unit/transfer/test_run_contents.py::test_file_younger_than_the_settle_time_defers_the_run",),
        dies_of=_NOT_RAISED,
    ),
)

_PUBLISHED: Final = (
    Mutant(
        "the marker check",
        "transfer/destination/marker.py",
        "        (destination / MARKER).stat()",
        "        destination.stat()",
        (f"{_DESTINATION}test_unmounted_share_is_offline_and_its_empty_mount_point_stays_empty",),
        dies_of="TransferError",
    ),
    Mutant(
        "the marker check of the folder in which folders are made",
        "transfer/destination/publish.py",
        "        tree.lstat(MARKER)\n",
        "",
        (f"{_DESTINATION}test_share_that_vanishes_just_before_a_folder_is_made_leaves_its_mount_point_empty",),
    ),
    Mutant(
        "the marker check before the rename",
        "transfer/walk.py",
        "        self._failures.check_online()\n        publish.publish_whole(",
        "        publish.publish_whole(",
        (f"{_DESTINATION}test_share_that_is_replaced_just_before_the_rename_gets_nothing",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the one rename that publishes",
        "transfer/destination/publish.py",
        "            incoming.rename(final)\n",
        """\
            __import__("shutil").copytree(incoming, final, dirs_exist_ok=True)
            __import__("shutil").rmtree(incoming)
""",
        (_NAME_LAST,),
    ),
    Mutant(
        "the refusal to replace somebody's folder",
        "transfer/destination/publish.py",
        "            if error.errno in _TAKEN:\n                raise FinalPathTakenError from error",
        """\
            if error.errno in _TAKEN:
                __import__("shutil").rmtree(final)
                incoming.rename(final)
                return""",
        (f"{_DESTINATION}test_final_path_that_appears_at_the_last_moment_is_not_replaced",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the refusal to replace a file of a known run",
        "transfer/destination/merge.py",
        "        if ours.result() != theirs:\n            raise self._differs(file.path)",
        "        ours.result()",
        (f"{_DESTINATION}test_changed_file_of_a_published_run_is_a_conflict_and_nothing_changes",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "the note by which a published run is known again",
        "transfer/walk.py",
        "            if self._is_published():",
        "            if self._is_published() and not self._incoming:",
        (f"{_DESTINATION}test_crash_between_publishing_and_the_note_publishes_exactly_once",),
    ),
    Mutant(
        "the installation in the name of an incoming folder",
        "workers/attempt.py",
        'return f"{installation}-{job_id}"',
        'return f"{job_id}"',
        ("tests/unit/workers/test_pool.py::test_the_incoming_folder_is_named_after_installation_and_job",),
    ),
    Mutant(
        "the difference between our leftovers and those of others",
        "transfer/destination/publish.py",
        "            if named is None or not is_over(int(named[1])):",
        "            if named is None:",
        ("tests/unit/transfer/files/test_tree.py::test_the_partial_copy_of_a_cancelled_job_is_removed_and_no_other",),
    ),
)

_QUIT: Final = (
    Mutant(
        "a predicate that fails closed",
        "store/queue/drain.py",
        """\
            msg = f"cannot tell whether work is in flight: {error}"
            raise PredicateUnreadableError(msg) from error""",
        "            return DrainCount(0, len(str(error)) * 0)",
        ("tests/unit/store/queue/test_drain.py::test_a_database_that_is_not_there_is_not_idle",),
        dies_of=_NOT_RAISED,
    ),
    Mutant(
        "a coordinator that takes the unknown for busy",
        "tray/quit_coordinator.py",
        "return self._closed and count is not None and count.idle",
        "return self._closed and (count is None or count.idle)",
        (f"{_COORDINATOR}test_an_unreadable_moment_only_delays_the_drain",),
    ),
    Mutant(
        "the gate that is closed before anything is counted",
        "tray/quit_coordinator.py",
        "self._closed = self._closed or await self._attempt(self._gate.close)",
        "self._closed = True",
        (f"{_COORDINATOR}test_idle_does_not_count_until_the_gate_is_known_to_be_closed",),
    ),
    Mutant(
        "a wait that gives a fresh window",
        "tray/quit_coordinator.py",
        "            self._window_end = self._clock.monotonic() + self._window_s\n        return event",
        "        return event",
        (f"{_COORDINATOR}test_wait_chosen_three_times_gives_three_full_windows_and_three_questions",),
    ),
    Mutant(
        "a shutdown that is held back while nobody can say what is in flight",
        "process/session/watch.py",
        "        return before",
        "        return NOTHING",
        ("tests/unit/process/session/test_watch.py::test_what_is_held_back",),
    ),
    Mutant(
        "sessions that hold back a quit",
        "domain/quit.py",
        "return self.active_sessions + self.in_flight_jobs",
        "return self.in_flight_jobs",
        (f"{_COORDINATOR}test_a_session_holds_back_the_quit_like_a_job",),
    ),
    Mutant(
        "the marking of what a forced quit cuts off",
        "workers/pool.py",
        "        self._store.jobs.interrupt_launch(self._launch_id, reason)",
        "",
        (f"{_WORKERS}test_forcing_marks_all_that_runs_also_what_does_not_react",),
    ),
    Mutant(
        "the one transaction that closes a session and queues its runs",
        "store/queue/sessions.py",
        "            if transaction.change(CLOSE, closing) != 1:\n                return None\n",
        """\
            if transaction.change(CLOSE, closing) != 1:
                return None
            for word in ("COMMIT", "BEGIN IMMEDIATE"):
                self._db.connection().execute(word)
""",
        (
            "tests/unit/store/queue/test_sessions.py::test_a_completion_that_fails_midway_leaves_the_lease_active_and_queues_nothing",
        ),
    ),
)

_PEERS: Final = "tests/unit/process/test_peers.py::"
_GUARDED: Final = (
    Mutant(
        "the account of a connection",
        "server/auth/access_control.py",
        "if stranger is not None and stranger not in self._admitted()",
        "if False",
        ("tests/unit/server/test_asgi.py::test_another_account_gets_health_without_a_token_and_nothing_else",),
    ),
    Mutant(
        "the process that holds the other end",
        "process/peers.py",
        "row.state not in _HELD or not row.inode",
        "False",
        (f"{_PEERS}test_one_that_is_gone_is_nobodys_even_where_the_kernel_says_0[the kernel answers]",),
    ),
    Mutant(
        "our own end, which proves that the row is of this connection",
        "process/peers.py",
        "            accepted.getpeername()",
        "            pass",
        (f"{_PEERS}test_a_row_is_of_this_connection_only_as_long_as_our_end_lives",),
    ),
    Mutant(
        "the bound on connections of others",
        "tray/admission.py",
        "full = self._open[stranger] >= MOST_OF_ONE or",
        "full = False and",
        ("tests/unit/tray/test_admission.py::test_of_another_account_a_few_are_let_in_and_the_log_says_so_once",),
    ),
)

MUTANTS: Final = (*_DURABLE, *_CLAIMED, *_RECOVERED, *_SENT, *_PUBLISHED, *_QUIT, *_GUARDED)
