"""The follower's plan as a function of plain data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from certline_follower.choosing import Install, generation_tag, line_tag
from certline_follower.planning import Found, Plan, Prune, Reload, next_stage, plan
from certline_follower.pulling import Pull, files_digest
from certline_follower.reports import Report
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import (
    Asked,
    Debt,
    HeldBack,
    HeldLine,
    Refusal,
    Retry,
    Shown,
    State,
    VersionRef,
)  # fmt: skip
from certline_follower.wishes import Ask, MakeKey, mark
from certline_shared.key_types import KeyType
from certline_shared.manifest import CsrWanted, Manifest, ManifestFile, ManifestLine
from certline_shared.messages import DeploymentReport, time_text

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EC = KeyType.ECDSA_P256
PIN = "a" * 64
SOON = Retry(1, time_text(NOW + timedelta(seconds=30)), "it failed")
PAST = Retry(1, time_text(NOW - timedelta(seconds=30)), "it failed")


def line(name: str = "shop", *names: str, services: tuple[str, ...] = ("web",)) -> LineSettings:
    return LineSettings(name, names or None, (EC,), services, ())


def settings(*lines: LineSettings) -> Settings:
    return Settings(Path("/x.toml"), None, None, Path("/state"), 5, 300, lines, {})


def files(version: int) -> tuple[ManifestFile, ...]:
    return (ManifestFile("ecdsa-p256/chain.pem", f"{version:064x}", 100),)


def ref(version: int) -> VersionRef:
    return VersionRef(version, files_digest(files(version)))


def offered(name: str = "shop", version: int | None = 1, **changes: object) -> ManifestLine:
    made = ManifestLine(name, (f"{name}.example.org",), (EC,), (), version, files(version or 0), {EC: PIN}, None)
    return replace(made, **changes)  # type: ignore[arg-type]


def manifest(*lines: ManifestLine, grants: tuple[str, ...] = ("shop.example.org",)) -> Manifest:
    return Manifest("me", 1, 1, time_text(NOW), time_text(NOW), grants, (), (), lines)


def asked(name: str = "shop", retry: Retry = SOON) -> HeldLine:
    return HeldLine(keys={EC: PIN}, asked=Asked((f"{name}.example.org",), {EC: PIN}, retry))


def at_rest(version: int = 1, *names: str) -> State:
    """A host on which that version of the lines is installed, reloaded and reported."""
    lines = names or ("shop",)
    held = {
        name: replace(
            asked(name), pulled=ref(version), reported=DeploymentReport(name, version, "reloaded", goal="reloaded")
        )
        for name in lines
    }
    tags = {name: line_tag(line(name), ref(version)) for name in lines}
    return State(lines=held, live=Shown(1, {name: ref(version) for name in lines}, tags))


def steps(made: Plan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


WISH = settings(line("shop", "shop.example.org"))


def test_a_new_line_gets_a_key_before_it_is_asked_for() -> None:
    made = plan(WISH, State(), manifest(), NOW)
    assert steps(made) == ["MakeKey", "Ask"]
    assert made.waiting == ("shop",)


def test_without_a_manifest_nothing_is_planned() -> None:
    assert plan(WISH, State(), None, NOW).steps == ()


def test_a_wish_that_was_put_is_waited_for() -> None:
    made = plan(WISH, State(lines={"shop": asked()}), manifest(offered(version=None)), NOW)
    assert made.steps == ()
    assert made.waiting == ("shop",)


def test_a_host_at_rest_has_nothing_to_do() -> None:
    made = plan(WISH, at_rest(), manifest(offered()), NOW)
    assert (made.steps, made.waiting, made.refused, made.next_look) == ((), (), (), None)


def test_a_newer_version_is_pulled_with_its_reason() -> None:
    (pull,) = plan(WISH, at_rest(), manifest(offered(version=2)), NOW).steps
    assert isinstance(pull, Pull)
    assert pull.reason == "version 2 is live on the master, 1 is here"


def test_the_same_number_with_other_content_is_pulled() -> None:
    other = offered(files=(ManifestFile("ecdsa-p256/chain.pem", "f" * 64, 100),))
    assert steps(plan(WISH, at_rest(), manifest(other), NOW)) == ["Pull"]


def test_a_version_of_which_only_the_number_is_known_is_not_pulled_again() -> None:
    state = at_rest()
    state = replace(state, live=Shown(1, {"shop": VersionRef(1)}, state.live.tags if state.live else {}))
    assert "Pull" not in steps(plan(WISH, state, manifest(offered()), NOW))


def test_what_was_pulled_is_installed_even_without_the_master() -> None:
    state = at_rest().with_line("shop", replace(asked(), pulled=ref(2)))
    (install,) = plan(WISH, state, manifest(offered(version=2)), NOW, reachable=False).steps
    assert isinstance(install, Install)
    assert install.services == {"web": ("shop",)}
    assert install.versions == {"shop": ref(2)}


def test_one_generation_installs_all_lines_that_are_complete() -> None:
    both = settings(line("mail", services=("smtp",)), line("shop"))
    state = at_rest(1, "mail", "shop")
    for name in ("mail", "shop"):
        state = state.with_line(name, replace(asked(name), pulled=ref(2)))
    (install,) = plan(both, state, None, NOW).steps
    assert isinstance(install, Install)
    assert install.changed == ("mail", "shop")
    assert set(install.services) == {"smtp", "web"}


def test_only_services_of_changed_lines_are_affected() -> None:
    both = settings(line("mail", services=("smtp",)), line("shop"))
    state = at_rest(1, "mail", "shop").with_line("mail", replace(asked("mail"), pulled=ref(2)))
    (install,) = plan(both, state, None, NOW).steps
    assert isinstance(install, Install)
    assert install.services == {"smtp": ("mail",)}
    assert install.versions == {"mail": ref(2), "shop": ref(1)}


def test_an_owed_reload_comes_before_reports_and_waits_for_its_time() -> None:
    owing = replace(at_rest(), debts={"web": Debt(1, ("shop",))})
    assert steps(plan(WISH, owing, manifest(offered()), NOW)) == ["Reload"]
    waiting = replace(owing, debts={"web": Debt(1, ("shop",), retry=SOON)})
    made = plan(WISH, waiting, manifest(offered()), NOW)
    assert steps(made) == ["Report"]
    assert made.next_look == NOW + timedelta(seconds=30)
    due = replace(owing, debts={"web": Debt(1, ("shop",), retry=PAST)})
    assert steps(plan(WISH, due, manifest(offered()), NOW)) == ["Reload"]


def test_a_held_back_version_is_neither_pulled_nor_installed_before_its_time() -> None:
    held = replace(asked(), pulled=ref(2), held_back=HeldBack(ref(2), SOON))
    made = plan(WISH, at_rest().with_line("shop", held), manifest(offered(version=2)), NOW)
    assert not {"Pull", "Install"} & set(steps(made))
    assert "version 2 is held back: it failed" in made.notes[0]
    assert made.next_look == NOW + timedelta(seconds=30)


def test_a_held_back_version_whose_time_has_come_is_held_back_no_more() -> None:
    held = replace(asked(), held_back=HeldBack(ref(2), PAST))
    made = plan(WISH, at_rest().with_line("shop", held), manifest(offered(version=2)), NOW)
    assert steps(made)[0] == "Pull"
    assert (made.held_back, made.notes) == (False, ())


def test_an_output_that_is_astray_is_installed_anew_and_its_service_reloaded() -> None:
    both = settings(line("mail", services=("smtp",)), line("shop"))
    (install,) = plan(
        both, at_rest(1, "mail", "shop"), None, NOW, found=Found(astray={"shop": "/a.pem is missing"})
    ).steps
    assert isinstance(install, Install)
    assert install.services == {"web": ("shop",)}
    assert install.reason == "shop: /a.pem is missing"


def test_an_output_that_could_not_be_put_back_waits_for_its_time() -> None:
    state = at_rest()
    failed = {generation_tag(state.live.tags if state.live else {}): SOON}
    made = plan(WISH, replace(state, failed=failed), None, NOW, found=Found(astray={"shop": "/a.pem is missing"}))
    assert made.steps == ()
    assert made.held_back


def test_a_newer_version_than_the_held_back_one_is_pulled() -> None:
    held = replace(asked(), pulled=ref(2), held_back=HeldBack(ref(2), SOON))
    assert "Pull" in steps(plan(WISH, at_rest().with_line("shop", held), manifest(offered(version=3)), NOW))


def test_a_generation_that_failed_is_followed_by_one_of_each_line_alone() -> None:
    both = settings(line("mail"), line("shop"))
    state = at_rest(1, "mail", "shop")
    for name in ("mail", "shop"):
        state = state.with_line(name, replace(asked(name), pulled=ref(2)))
    together = generation_tag({name: line_tag(line(name), ref(2)) for name in ("mail", "shop")})
    install = plan(both, replace(state, failed={together: SOON}), None, NOW).steps[0]
    assert isinstance(install, Install)
    assert install.changed == ("mail",)


def test_a_refused_wish_waits_for_another_manifest_or_an_hour() -> None:
    refusal = Refusal(("shop.example.org",), SOON, mark(manifest()))
    state = State(lines={"shop": HeldLine(keys={EC: PIN}, refusal=refusal)})
    made = plan(WISH, state, manifest(), NOW)
    assert (made.steps, made.refused, made.waiting) == ((), ("shop",), ())
    assert steps(plan(WISH, state, replace(manifest(), serial=2), NOW)) == ["Ask"]
    assert steps(plan(WISH, state, replace(manifest(), epoch=2), NOW)) == ["Ask"]
    assert steps(plan(WISH, state, manifest(), NOW + timedelta(minutes=61))) == ["Ask"]


def test_a_request_that_the_master_lost_is_sent_again_in_time() -> None:
    lost = manifest(offered(version=None, csr_wanted=(CsrWanted(EC),)))
    assert plan(WISH, State(lines={"shop": asked()}), lost, NOW).steps == ()
    assert steps(plan(WISH, State(lines={"shop": asked(retry=PAST)}), lost, NOW)) == ["Ask"]


def test_a_line_of_the_operator_is_asked_with_a_key_for_each_wanted_type() -> None:
    wanted = manifest(
        offered(version=None, key_types=(EC, "rsa-2048"), csr_wanted=(CsrWanted(EC), CsrWanted("rsa-2048")))
    )
    made = plan(settings(line()), State(), wanted, NOW)
    assert [step.key_type for step in made.steps if isinstance(step, MakeKey)] == [EC, "rsa-2048"]
    (ask,) = [step for step in made.steps if isinstance(step, Ask)]
    assert (ask.wished, ask.names, ask.key_types) == (None, ("shop.example.org",), (EC, "rsa-2048"))


def test_a_version_without_the_key_type_of_the_file_is_told() -> None:
    made = plan(settings(line()), at_rest(), manifest(offered(version=2, spki_sha256={"rsa-2048": PIN})), NOW)
    assert "it has no ecdsa-p256 certificate (it has: rsa-2048)" in made.notes[0]


def test_a_line_that_left_the_file_leaves_the_next_generation() -> None:
    (install,) = plan(settings(line("mail")), at_rest(1, "mail", "shop"), None, NOW).steps
    assert isinstance(install, Install)
    assert set(install.versions) == {"mail"}
    assert "shop left the file" in install.reason


def test_a_file_without_any_line_removes_nothing() -> None:
    assert plan(settings(), at_rest(), manifest(), NOW).steps == ()


def test_news_is_reported_once_and_pruning_comes_last() -> None:
    state = replace(at_rest(), prune=True).with_line("shop", replace(asked(), pulled=ref(1)))
    made = plan(WISH, state, manifest(offered()), NOW)
    assert [type(step) for step in made.steps] == [Report, Prune]


def test_all_keys_are_made_before_the_first_wish_is_put() -> None:
    both = settings(line("mail", "mail.example.org"), line("shop", "shop.example.org"))
    made = plan(both, State(lines={"mail": HeldLine(keys={EC: PIN})}), manifest(), NOW)
    assert steps(made) == ["MakeKey", "Ask", "Ask"]
    assert [type(step) for step in next_stage(made.steps)] == [MakeKey]


held_lines = st.builds(
    HeldLine,
    keys=st.sampled_from([{}, {EC: PIN}]),
    asked=st.none() | st.just(asked().asked),
    pulled=st.none() | st.builds(ref, st.integers(1, 3)),
    held_back=st.none() | st.builds(HeldBack, st.builds(ref, st.integers(1, 3)), st.sampled_from([SOON, PAST])),
)
lives = st.none() | st.builds(lambda n: Shown(1, {"shop": ref(n)}), st.integers(1, 3))


def some_state(held: HeldLine, live: Shown | None, retry: Retry | None) -> State:
    debts = {"web": Debt(1, ("shop",), retry=retry)} if live else {}
    return State(lines={"shop": held}, live=live, debts=debts)


anything = st.builds(some_state, held_lines, lives, st.sampled_from([None, SOON, PAST]))


@given(anything, st.none() | st.integers(1, 3))
def test_without_the_master_nothing_is_planned_that_needs_it(state: State, version: int | None) -> None:
    made = plan(WISH, state, manifest(offered(version=version)), NOW, reachable=False)
    assert not [step for step in made.steps if isinstance(step, Ask | Pull | Report)]


@given(anything, st.none() | st.integers(1, 3))
def test_no_plan_ever_installs_less_than_is_live(state: State, version: int | None) -> None:
    for step in plan(WISH, state, manifest(offered(version=version)), NOW).steps:
        if isinstance(step, Install):
            assert set(step.versions) >= set(state.live.versions if state.live else ())


@given(anything, st.none() | st.integers(1, 3))
def test_the_same_plan_is_made_again_of_the_same_facts(state: State, version: int | None) -> None:
    made = manifest(offered(version=version))
    assert plan(WISH, state, made, NOW) == plan(WISH, state, made, NOW)


@given(anything)
def test_reloads_are_only_those_that_are_owed_and_due(state: State) -> None:
    for step in plan(WISH, state, None, NOW).steps:
        if isinstance(step, Reload):
            retry = state.debts[step.service].retry
            assert retry is None or retry.is_due(NOW)
