"""Results of steps, kept from build to build: for each a directory with its tree and what it put beside it.

The tree of a step is what it changed in the tree below it: the upper layer of an overlay (overlayfs, Linux), without
the features that would bind it to more than the names in the lower ones. Where overlays cannot be mounted, it is a
whole copy with the changes in it. A step works in a directory of another name, and gets its own once it is complete and
on the disk; what a step that was interrupted left is removed when the next build begins. The mounts are in the mount
namespace of the step's own program, and end with it.

Several images share what is equal: a result that any of them has is taken, and made anew in its place. What only one of
them has is in a directory with its name: `system.lab`; those of the default image have none.
"""

import contextlib
import json
import math
import os
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from image import work_directory
from image.command import SCRIPT, CommandError
from image.names import DEFAULT
from image.steps import NAMES, ImageStep

TREE, BESIDE = "tree", "beside"
_STAGES, _WORK, _RECORD = "stages", "work", "record.json"
_UNFINISHED = "."
_OLD = "-old"
_TRIAL = f"{_UNFINISHED}trial"
_OPTIONS = "index=off,metacopy=off,redirect_dir=off,xino=off"

RunProgram = Callable[[str, Sequence[str]], None]
"""Runs a program in live-build's directory, as root, in a mount namespace of its own: words for people, arguments."""


class Begin(Protocol):
    """Is told which step begins: its name, what it does, and whether there is nothing to do."""

    def __call__(self, name: str, words: str, /, *, kept: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class KeptResult:
    """The result of a step: its directory, and what identifies it."""

    path: Path
    id: str
    old: bool = False
    """Whether an earlier build made it."""

    @property
    def tree(self) -> Path:
        """What the step changed, or the whole tree."""
        return self.path / TREE

    @property
    def beside(self) -> Path:
        """The files it made that are not in the tree."""
        return self.path / BESIDE


class StepChain:
    """The results of one build's steps, the lowest first, in the directory `steps`; `live` is that of live-build, and
    `image` the name of the image that is built. What was made at or after `since`, in seconds since the epoch, is not
    made again: another image has just done it.

    `tools` has for some steps what identifies the programs that make them: with other ones, the result is another one.
    """

    def __init__(
        self,
        steps: Path,
        live: Path,
        run: RunProgram,
        begin: Begin,
        tools: Mapping[str, str],
        image: str = DEFAULT,
        since: float = math.inf,
    ) -> None:
        self._steps, self._live, self._run, self._begin, self._tools = steps, live, run, begin, tools
        self._image, self._since = image, since
        self._kept: list[KeptResult] = []
        steps.mkdir(parents=True, exist_ok=True)
        # The trees have programs that give rights, as Debian made them: not for this machine's users.
        steps.chmod(0o700)
        for name in (_TRIAL, *(f"{_UNFINISHED}{name}{end}" for name in NAMES for end in ("", _OLD))):
            work_directory.remove(steps / name)
        self.overlays = self._overlays()
        """Whether trees are layers. Whoever changes that finds nothing kept."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the steps so far."""
        return tuple(each.path.name.partition(".")[0] for each in self._kept)

    @property
    def trees(self) -> tuple[Path, ...]:
        """The trees of the steps so far, the lowest first."""
        return tuple(each.tree for each in self._kept)

    def sizes(self) -> dict[str, int]:
        """The bytes of each result that is there, also of what this build will not use."""
        found = {}
        for name in NAMES:
            for path in (self._steps / name, self._own(name)):
                with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
                    found[name] = int(json.loads((path / _RECORD).read_text())["bytes"])
        return found

    def settle(self, made: KeptResult) -> None:
        """Take out of the tree of a step, if it is a layer, what binds it to the file systems it was made on: what is
        left says only which directories replace the ones below. Raises OSError."""
        # The directory itself, too: of a whole overlay it has a number that was made by chance.
        for path in (made.tree, *made.tree.rglob("*")):
            for name in os.listxattr(path, follow_symlinks=False):
                if name.startswith("trusted.overlay.") and name != "trusted.overlay.opaque":
                    os.removexattr(path, name, follow_symlinks=False)

    def add(
        self, step: ImageStep, finish: Callable[[KeptResult], str] = lambda _: "", *, again: bool = False
    ) -> KeptResult:
        """Put the result of a step on top: one that is kept, unless it is to be made `again`, or else a new one.

        `finish` adds to a new result once the step's program has ended, and returns what tells this result from another
        one of the same step, if anything does. What the program raises is raised again.
        """
        kept = self._find(step)
        if kept and again and (kept.path / _RECORD).stat().st_mtime < self._since:
            kept = None
        self._begin(step.name, f"{'kept from before: ' if kept else ''}{step.words}", kept=kept is not None)
        self._kept.append(kept or self._do(step, finish))
        return self._kept[-1]

    def _find(self, step: ImageStep) -> KeptResult | None:
        """The image's own result of this step, or else another one's, if it is still right."""
        own = self._own(step.name)
        for path in (own, *(each for each in sorted(self._steps.iterdir()) if _is_of(each, step) and each != own)):
            try:
                record = json.loads((path / _RECORD).read_text())
                if record["key"] == self._key(step):
                    return KeptResult(path, str(record["id"]), old=True)
            except (OSError, ValueError, TypeError, LookupError):
                continue
        return None

    def _own(self, step: str) -> Path:
        return self._steps / (step if self._image == DEFAULT else f"{step}.{self._image}")

    def _do(self, step: ImageStep, finish: Callable[[KeptResult], str]) -> KeptResult:
        before = self._find(step)
        path = before.path if before else self._own(step.name)
        key, new = self._key(step), self._steps / f"{_UNFINISHED}{step.name}"
        for directory in (TREE, BESIDE, *([_WORK] if self.overlays else [])):
            (new / directory).mkdir(mode=0o755, parents=True)
        # The root directory of the live system.
        (new / TREE).chmod(0o755)
        stages = self._live / ".build"
        if self._kept:
            shutil.rmtree(stages, ignore_errors=True)
            shutil.copytree(self._kept[-1].path / _STAGES, stages)
        self._script(step, new)
        shutil.copytree(stages, new / _STAGES)
        shutil.rmtree(new / _WORK, ignore_errors=True)
        ident = sha256(f"{key} {finish(KeptResult(new, key))}".encode()).hexdigest()
        self._run("writing it to the disk", ("sync", "--file-system", str(new)))
        (new / _RECORD).write_text(json.dumps({"key": key, "id": ident, "bytes": work_directory.disk_bytes(new)}))
        self._run("writing it to the disk", ("sync", str(new / _RECORD)))
        if path.exists():
            path.rename(self._steps / f"{_UNFINISHED}{step.name}{_OLD}")
        new.rename(path)
        work_directory.remove(self._steps / f"{_UNFINISHED}{step.name}{_OLD}")
        return KeptResult(path, ident)

    def _script(self, step: ImageStep, new: Path) -> None:
        """Run a step's script with the tree of the steps so far; `new` keeps what the script changes in it."""
        if not self.overlays and self._kept:
            copy = ("cp", "-a", "--reflink=auto", f"{self._kept[-1].tree}/.", str(new / TREE))
            self._run("copying the tree", copy)
        (self._live / "chroot").mkdir(mode=0o755, exist_ok=True)
        beside = f"beside={shlex.quote(str(new / BESIDE))}"
        self._run(step.words, (*SCRIPT, f"{beside}\n{self._mount(new)}\n{step.script}"))

    def forget_others(self, images: Collection[str] = ()) -> None:
        """Remove the results of steps that this build did not have, except those of the other `images`. What else is
        there is not ours."""
        for path in self._steps.iterdir():
            name, _, image = path.name.partition(".")
            others = (image or DEFAULT) != self._image and (image or DEFAULT) in images
            if name in NAMES and not others and path not in [each.path for each in self._kept]:
                work_directory.remove(path)

    def _key(self, step: ImageStep) -> str:
        below = self._kept[-1].id if self._kept else ""
        tools = self._tools.get(step.name, "")
        return sha256(f"{step.digest} {below} {self.overlays} {tools}".encode()).hexdigest()

    def _mount(self, new: Path) -> str:
        # Paths in the options are relative: they must not hold commas and colons.
        layers = [f"{each.path.name}/{TREE}" for each in reversed(self._kept)]
        options = f"lowerdir={':'.join(layers)},upperdir={new.name}/{TREE},workdir={new.name}/{_WORK},{_OPTIONS}"
        how = f"-t overlay -o {options} overlay" if self.overlays and layers else f"--bind {new.name}/{TREE}"
        steps, live = (shlex.quote(str(path)) for path in (self._steps, self._live))
        return f"cd {steps}\nmount {how} {live}/chroot\ncd {live}"

    def _overlays(self) -> bool:
        """Whether an overlay can be mounted here that keeps what is removed and replaced in it."""
        trial = self._steps / _TRIAL
        for name in ("lower/directory", "upper", "work", "at"):
            (trial / name).mkdir(parents=True)
        (trial / "lower" / "file").touch()
        options = f"lowerdir=lower,upperdir=upper,workdir=work,{_OPTIONS}"
        script = f"mount -t overlay -o {options} overlay at\nrm at/file\nrmdir at/directory\nmkdir at/directory"
        try:
            self._run("trying an overlay", (*SCRIPT, f"cd {shlex.quote(str(trial))}\n{script}"))
        except CommandError:
            return False
        finally:
            shutil.rmtree(trial)
        return True


def _is_of(path: Path, step: ImageStep) -> bool:
    return path.name == step.name or path.name.startswith(f"{step.name}.")
