"""What differs between two playbooks, includes and all."""

from __future__ import annotations

from assist.coach.parts import Playbook


def diff_playbooks(before: Playbook, after: Playbook) -> list[str]:
    """One line each: parts gone or new, and every field that changed."""
    lines = [
        f"~ {name}: {getattr(before, name)} -> {getattr(after, name)}"
        for name in ("name", "release", "method", "about")
        if getattr(before, name) != getattr(after, name)
    ]
    for kind in ("steps", "plays", "options"):
        old = {part.id: part for part in getattr(before, kind)}
        new = {part.id: part for part in getattr(after, kind)}
        lines += [f"- {kind}.{each}" for each in old if each not in new]
        lines += [f"+ {kind}.{each}" for each in new if each not in old]
        for each in old.keys() & new.keys():
            fields = type(old[each]).model_fields
            changed = [f for f in fields if getattr(old[each], f) != getattr(new[each], f)]
            lines += [f"~ {kind}.{each}.{f}: {getattr(old[each], f)} -> {getattr(new[each], f)}" for f in changed]
        stay_old = [each for each in old if each in new]
        if stay_old != [each for each in new if each in old]:
            lines.append(f"~ {kind}: in another order: {', '.join(new)}")
    return sorted(lines, key=lambda line: line[2:])
