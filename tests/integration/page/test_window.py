"""The page as the one window: it says whether the operator works in it, and gives way to one that was opened later."""

from __future__ import annotations

from tests.integration.page.conftest import Visit
from tests.support.program import Program, until


def focused(program: Program) -> object:
    status, answer = program.api("GET", "/window")
    assert status == 200
    assert isinstance(answer, dict)
    return answer["focused"]


def test_the_page_says_whether_the_operator_works_in_it(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program)
    until(lambda: focused(program), what="the page to say that it has the keyboard")
    assert visitor.page.url == f"{visitor.base}/"  # nothing of the way in is left in the address
    visitor.page.evaluate("Object.assign(document, {hasFocus: () => false}); dispatchEvent(new Event('blur'))")
    until(lambda: not focused(program), what="the page to say that it has lost it")
    visitor.page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
    until(lambda: focused(program), what="the page to say that it has it again")
    visitor.page.close()
    until(lambda: not focused(program), what="a page that is gone to have no focus")


def test_a_page_gives_way_to_the_one_that_was_let_in_later(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program, may_fail=True)  # that a script cannot close a tab which it did not open is a warning
    _, link = program.api("POST", "/login")
    assert isinstance(link, dict)
    other = visitor.page.context.new_page()
    other.goto(f"{visitor.base}{link['path']}")
    until(lambda: visitor.page.is_closed() or "newer window" in visitor.page.content(), what="the first to give way")
    assert "newer window" not in other.content()
    other.goto(f"{visitor.base}/quit")
    third = visitor.page.context.new_page()
    third.goto(f"{visitor.base}/")
    assert "newer window" not in other.content()  # who opens a second page on purpose has two
