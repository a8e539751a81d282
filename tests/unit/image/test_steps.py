"""What the steps of a build depend on: each is done again for what changes its result, and for nothing else."""

from dataclasses import replace

import pytest

from image import build, steps
from image.mirrors import Mirrors
from image.recipe import ImageRecipe
from image.repositories import Repository

MIRRORS = Mirrors("http://mirror.example.org/debian", "http://security.example.org/debian-security", updates=True)
OTHER = replace(MIRRORS, archive="http://other.example.org/debian")
TREE = build.read_tree()
HOOK = "hooks/live/0100-netboot-appliance.hook.chroot"


def changed(
    recipe: ImageRecipe | None = None, tree: dict[str, bytes] | None = None, mirrors: Mirrors = MIRRORS, added: str = ""
) -> set[str]:
    """The steps that another recipe, tree, mirror or digest of own files changes by itself."""

    def all_of(recipe: ImageRecipe, tree: dict[str, bytes], mirrors: Mirrors, added: str) -> dict[str, str]:
        made = (
            steps.bootstrap(recipe, mirrors),
            steps.packages(recipe, tree, mirrors),
            steps.extras(recipe, update=False),
            steps.system(recipe, tree),
            steps.files(added, tree),
        )
        return {step.name: step.digest for step in made}

    before = all_of(ImageRecipe(), TREE, MIRRORS, "")
    after = all_of(recipe or ImageRecipe(), tree or TREE, mirrors, added)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("recipe", "steps_of_it"),
    [
        (ImageRecipe(packages=("htop",)), {"extras"}),
        (ImageRecipe(kernel="cloud-amd64"), {"packages"}),
        (ImageRecipe(backports=True), {"packages"}),
        (ImageRecipe(firmware="all"), {"packages", "system"}),
        (ImageRecipe(distribution="bookworm"), {"bootstrap", "packages"}),
    ],
)
def test_a_recipe_changes_the_lowest_step_that_it_is_about(recipe: ImageRecipe, steps_of_it: set[str]) -> None:
    assert changed(recipe) == steps_of_it


def test_another_mirror_is_asked_from_the_beginning() -> None:
    assert changed(mirrors=OTHER) == {"bootstrap", "packages"}


@pytest.mark.parametrize(
    ("name", "steps_of_it"),
    [
        (HOOK, {"system"}),
        ("includes.chroot_after_packages/etc/new", {"system"}),
        ("includes.chroot_before_packages/etc/new", {"packages"}),
        ("hooks/loaders", {"packages"}),
        ("package-lists/appliance.list.chroot", {"packages"}),
        ("rootfs/excludes", {"system", "files"}),
    ],
)
def test_a_file_of_the_tree_changes_the_step_that_uses_it(name: str, steps_of_it: set[str]) -> None:
    assert changed(tree=TREE | {name: b"another\n"}) == steps_of_it


def test_own_files_change_their_step_alone() -> None:
    assert changed(added="0123") == {"files"}


def test_fetching_the_lists_again_does_not_make_another_step() -> None:
    recipe = ImageRecipe(packages=("htop",))
    with_lists, without = (steps.extras(recipe, update=update) for update in (True, False))
    assert with_lists.digest == without.digest
    assert "apt-get update" in with_lists.script
    assert "apt-get update" not in without.script


REPOSITORY = Repository(("https://v.example.org/apt",), ("@DISTRIBUTION@",), ("main",), (), b"key")


def test_a_repository_and_answers_change_the_step_that_uses_them_and_leave_nothing_in_the_image() -> None:
    recipe = ImageRecipe(packages=("vendor-tool",))
    plain = steps.extras(recipe, update=False)
    own = steps.own_files(recipe, (REPOSITORY,), "a b string c\n")
    assert b"Suites: trixie\n" in own["netboot-own.sources"]
    step = steps.extras(recipe, update=False, own=own)
    assert step.script.index("keyrings") < step.script.index("debconf-set-selections < extras/answers")
    assert step.script.index("debconf-set-selections") < step.script.index("apt-get update -o")
    assert step.script.endswith("rm chroot/etc/apt/sources.list.d/netboot-* chroot/etc/apt/keyrings/netboot-*\n"), (
        "PCs need neither"
    )
    other_key = steps.own_files(recipe, (replace(REPOSITORY, keys=b"KEY"),), "a b string c\n")
    other_answer = steps.own_files(recipe, (REPOSITORY,), "a b string d\n")
    digests = {steps.extras(recipe, update=False, own=each).digest for each in (own, other_key, other_answer, {})}
    assert len(digests) == 4
    assert plain.digest in digests
    assert steps.extras(recipe, update=True, own=own).digest == step.digest
