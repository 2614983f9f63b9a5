"""What a service is owed after its files changed: check, reload, and a look at what it serves then."""

import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from certline_follower import planning, probing, reports, services, undoing
from certline_follower.faults import InstallFault
from certline_follower.generation import LineFacts, LineMaterial
from certline_follower.host import Host, StepFailed
from certline_follower.looking import Family, family_of
from certline_follower.probing import Expected, Sight
from certline_follower.settings import Service
from certline_follower.state import Debt, Probed, State
from certline_shared.failpoints import failpoint

FAILPOINTS = ("service.reloading", "service.reloaded", "service.probed")


def debt(host: Host, generation: int, name: str, lines: tuple[str, ...]) -> Debt:
    """What is wrong with a service before the swap already is not blamed on the new versions."""
    service = host.settings.services[name]
    former = host.state.debts.get(name)
    owed = tuple(dict.fromkeys((*(former.lines if former else ()), *lines)))
    if service.on_failure == "warn" or host.state.shows(generation) or host.quiet:
        return Debt(generation, owed)
    before = services.run(service, "check", env=_environment(name, lines))
    sights = probing.look_once(host.looker, probing.looks_of(service, expected(host), lines))
    well = tuple(sight.look.place for sight in sights if sight.right)
    return Debt(generation, owed, may_go_back=before is None or before.ok, well=well)


def expected(host: Host) -> dict[str, list[Expected]]:
    """What is installed of each line, one for each family of its keys. Raises InstallFault."""
    live = host.installer.live()
    if live is None:
        return {}
    try:
        return {name: _by_family(types, live.facts[name]) for name, types in host.installer.materials().items()}
    except ValueError as error:
        raise InstallFault(f"generation {live.number} is damaged: {error}") from None


def _by_family(types: Sequence[LineMaterial], facts: Sequence[LineFacts]) -> list[Expected]:
    found: dict[Family, Expected] = {}
    for one, known in zip(types, facts, strict=True):
        made, family = _expected(one, known.names), family_of(one.key_type)
        first = found.setdefault(family, made)
        found[family] = replace(first, also=first.also | {made.fingerprint})
    return list(found.values())


def _expected(one: LineMaterial, names: tuple[str, ...]) -> Expected:
    leaf = ssl.PEM_cert_to_DER_cert(one.chain_pem.partition(_END)[0] + _END)
    return Expected(one.line, names, one.key_type, probing.fingerprint(leaf))


_END = "-----END CERTIFICATE-----"


def _environment(service: str, lines: tuple[str, ...]) -> Mapping[str, str]:
    return {"CERTLINE_SERVICE": service, "CERTLINE_LINES": " ".join(lines)}


def reload(host: Host, step: planning.Reload) -> None:
    """Check, reload and probe one service; on failure go back where that may help and is the service's wish."""
    owed = host.state.debts[step.service]
    try:
        _pay(host, step, owed)
    except InstallFault as fault:  # it was reloaded, or it would not be looked at
        _failed(host, owed, step.service, _untellable(fault), blamed=False, reloaded=True)


def _untellable(fault: InstallFault) -> str:
    return f"it cannot be told what it should serve: {fault}"


def _pay(host: Host, step: planning.Reload, owed: Debt) -> None:
    service = host.settings.services.get(step.service)
    if service is None or (owed.reloaded and _look(host, service, owed.lines, 0) is None):
        host.save(_paid(host.state, step.service))
        return
    error = _check_and_reload(service, owed)
    blamed, reloaded = owed.may_go_back, error is None
    if error is None:
        sights = _watch(host, service, owed.lines, service.probe_seconds)
        failpoint("service.probed")
        wrong = probing.wrong(sights)
        if wrong is None:
            host.save(_paid(host.state, step.service))
            return
        error = f"its probe failed: {wrong}"
        blamed = any(sight.look.place in owed.well for sight in sights if not sight.right)
    _failed(host, owed, step.service, error, blamed=blamed, reloaded=reloaded)


def _failed(host: Host, owed: Debt, name: str, error: str, *, blamed: bool, reloaded: bool) -> None:
    text = f"service {name}: {error}"
    if blamed and undoing.is_worth_it(host, owed):
        undoing.go_back(host, owed, text)
        raise StepFailed(f"{text}; the former generation is back")
    retry = host.later(owed.retry, error)
    again = replace(owed, retry=retry, may_go_back=False, well=(), reloaded=reloaded)
    host.save(replace(host.state, debts={**host.state.debts, name: again}))
    raise StepFailed(text)


def probe(host: Host, step: planning.Probe) -> None:
    """Look at a service that nothing is owed; what is not right is owed from then on."""
    service = host.settings.services[step.service]
    try:
        wrong = _look(host, service, step.lines, service.probe_seconds)
    except InstallFault as fault:
        wrong = _untellable(fault)
    if wrong is None:
        return
    error, live = f"its probe failed: {wrong}", host.state.live
    owed = Debt(live.generation if live else 0, step.lines, retry=host.later(None, error), reloaded=True)
    host.save(replace(host.state, debts={**host.state.debts, step.service: owed}))
    raise StepFailed(f"service {step.service}: {error}")


def _look(host: Host, service: Service, lines: Sequence[str], seconds: float) -> str | None:
    """What is wrong, or None. Raises InstallFault."""
    return probing.wrong(_watch(host, service, lines, seconds))


def _watch(host: Host, service: Service, lines: Sequence[str], seconds: float) -> list[Sight]:
    """What is seen of these lines, on record. Raises InstallFault."""
    if not service.probes:
        return []
    looks = probing.looks_of(service, expected(host), lines)
    sights = probing.watch(host.looker, host.clock, looks, seconds)
    host.save(_with_sights(host.state, service, lines, sights))
    return sights


def _with_sights(state: State, service: Service, lines: Iterable[str], sights: Sequence[Sight]) -> State:
    for name in lines:
        mine = [sight for sight in sights if sight.look.expected.line == name]
        mark, right = reports.probe_mark(service, name, state), all(sight.right for sight in mine)
        line, seen = state.line(name), probing.seen_of(mine, name)
        probed = {**line.probed, service.name: Probed(mark, right, seen)}
        state = state.with_line(name, replace(line, probed=probed))
    return state


def _check_and_reload(service: Service, owed: Debt) -> str | None:
    """What went wrong, or None."""
    environment = _environment(service.name, owed.lines)
    check = services.run(service, "check", env=environment)
    if check and not check.ok:
        return f"its check failed: {check.detail}"
    failpoint("service.reloading")
    done = services.run(service, "reload", env=environment)
    failpoint("service.reloaded")
    return f"its reload failed: {done.detail}" if done and not done.ok else None


def _paid(state: State, service: str) -> State:
    """The debt is gone; versions that were held back and are well now are no longer."""
    debts = {name: debt for name, debt in state.debts.items() if name != service}
    lines = {
        name: replace(line, held_back=None)
        if line.held_back and line.held_back.version.same(state.installed(name))
        else line
        for name, line in state.lines.items()
    }
    return replace(state, debts=debts, lines=lines)
