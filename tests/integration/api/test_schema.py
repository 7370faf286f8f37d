"""The API as its own schema describes it, tried out with what the schema allows: no failure, no unknown answer."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.integration.api.api import Api, address_of
from tests.support.program import PATIENCE_SECONDS, Program

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("EXLAB_FUZZ_EXAMPLES", "10"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# A quit would end the program, and an event stream does not end.
LEFT_OUT = r"/quit$|/v1/events$|^/login$"

OPERATION_IDS = """
    abort_api_v1_sessions__session_id__abort_post
    answer_api_v1_quit_answer_post
    ask_api_v1_quit_post
    cancel_api_v1_jobs__job_id__cancel_post
    complete_api_v1_sessions__session_id__complete_post
    enqueue_api_v1_jobs_post
    enter_login_get
    events_api_v1_jobs__job_id__events_get
    focus_api_v1_window_post
    follow_api_v1_events_get
    heartbeat_api_v1_sessions__session_id__heartbeat_post
    link_api_v1_login_post
    look_api_v1_drain_get
    look_api_v1_health_get
    look_api_v1_jobs__job_id__get
    look_api_v1_metrics_get
    look_api_v1_sessions__session_id__get
    look_api_v1_status_get
    look_api_v1_window_get
    open_api_v1_sessions_post
    open_api_v1_window_open_post
    page_api_v1_jobs_get
    page_api_v1_sessions_get
    pause_api_v1_pause_post
    resume_api_v1_resume_post
    retry_api_v1_jobs__job_id__retry_post
"""


def operations(schema: BaseSchema) -> Iterator[APIOperation]:  # type: ignore[type-arg]  # they mean nothing here
    """Return every route that may be tried."""
    for found in schema.exclude(path_regex=LEFT_OUT).get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


def test_no_request_makes_it_fail_or_answer_what_its_schema_does_not_know(served: Program) -> None:
    address = address_of(served)
    headers = {"Authorization": f"Bearer {address.token}"}
    url = f"http://127.0.0.1:{address.port}"
    tried = 0
    for operation in operations(schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)):

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy())
        def try_out(case: Case) -> None:  # type: ignore[type-arg]  # likewise
            response = case.call(base_url=url, headers=headers, timeout=PATIENCE_SECONDS)
            case.validate_response(response, checks=CHECKS)

        try_out()
        tried += 1
    assert tried >= 17
    assert served.process.poll() is None
    assert ": 500," not in served.log()


def test_the_names_of_operations_stay_since_clients_are_generated_from_them(shared: Api) -> None:
    paths = shared.http.get("/openapi.json").json()["paths"].values()
    assert sorted(one["operationId"] for methods in paths for one in methods.values()) == OPERATION_IDS.split()
