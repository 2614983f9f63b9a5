"""The step that tells a hook what happened."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from certline_follower import happenings, undoing
from certline_follower.hook_planning import RunHook
from certline_follower.hook_settings import SPREAD, TEST
from certline_follower.host import Host, StepFailed, StepVoid, StepWarned, log
from certline_follower.state import Debt
from certline_shared import placeholders, running
from certline_shared.failpoints import failpoint
from certline_shared.running import Ended

FAILPOINTS = ("hook.running", "hook.ran")


def run(host: Host, step: RunHook) -> None:
    """Run its command once; after a kill in between it runs again, with the same cause. Raises StepWarned, StepFailed,
    StepVoid.

    What it said goes to the log.
    """
    action = step.action
    if any(not happenings.is_still(host.state.happenings.get(key), action, now) for key, now in step.causes.items()):
        raise StepVoid
    failpoint("hook.running")
    try:
        with _passphrase(host, step) as passed:
            done = _started(host, step, passed)
    except (OSError, ValueError) as error:
        done = Ended(False, str(error))
    failpoint("hook.ran")
    if not done.ok and action.required:
        _failed(host, step, done.detail)
    left = happenings.after_run(host.state.happenings, action, step.causes)
    host.save(replace(host.state, happenings=happenings.still_owed(host.settings.hooks, left)))
    if not done.ok:
        raise StepWarned(f"{action.name}: {done.detail}")
    log.info("%s: %s", action.name, done.detail)


def _started(host: Host, step: RunHook, passed: Sequence[int]) -> Ended:
    action, test = step.action, TEST if host.settings.rehearsal else ""
    return running.run(
        placeholders.filled(action.words, {**step.values, TEST: test, "passphrase_fd": "".join(map(str, passed))}),
        timeout=action.timeout,
        env={"CERTLINE_EVENT": action.event, "CERTLINE_LINES": " ".join(step.lines), "CERTLINE_CAUSE": step.tag},
        around=action.around,
        pass_fds=passed,
    )


@contextmanager
def _passphrase(host: Host, step: RunHook) -> Iterator[tuple[int, ...]]:
    """The descriptor to read it from, where the hook asks for one and the line has one. Raises OSError, ValueError."""
    wanted = "passphrase_fd" in placeholders.names_in(step.action.words)
    passphrase = host.material.keys.passphrase(step.lines[0]) if wanted else None
    if passphrase is None:
        yield ()
        return
    reader, writer = os.pipe()
    try:
        os.write(writer, passphrase)  # shorter than any pipe's room
        os.close(writer)
        yield (reader,)
    finally:
        os.close(reader)


def _failed(host: Host, step: RunHook, error: str) -> None:
    """A required one: the former generation is put back where that may help, else it is tried again.

    Raises StepFailed.
    """
    text = f"{step.action.name}: {error}"
    debt = Debt(step.generation, step.lines, may_go_back=True)
    if step.action.event not in SPREAD and undoing.is_worth_it(host, debt):
        undoing.go_back(host, debt, text)
        raise StepFailed(f"{text}; the former generation is back")
    found = dict(host.state.happenings)
    for key in step.causes:
        one, tag = found[key], step.action.tag
        found[key] = replace(one, failed={**one.failed, tag: host.later(one.failed.get(tag), error)})
    host.save(replace(host.state, happenings=found))
    raise StepFailed(text)
