"""`/api/v1/allowlist`: who may boot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from appliance.boot import allowed_edits
from appliance.boot.allowed_edits import AllowedEdit, RemovedEntry
from appliance.config.menu import LONGEST_TIMEOUT
from appliance.control.access.guard import administrator
from appliance.control.api.answers import LOOKS, InContext, Limit, MacInPath, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.registry.database import Registry
from appliance.view.allowed import AllowedCheck, EntryView, allowed_check, entry_views
from services.ethernet import MacAddress

router = APIRouter(prefix="/allowlist", tags=["allowlist"], dependencies=LOOKS, route_class=QuickRoute)
_CHANGES = [Depends(administrator)]
_RANGE = "^[0-9A-Fa-f:.*-]+$"
EntryInPath = Annotated[
    str,
    Path(
        pattern=_RANGE,
        max_length=40,
        description="The range of the entry without a slash: a MAC address, `52:54:00:*`, or FIRST-LAST.",
        examples=["52:54:00:00:00:00-52:54:00:ff:ff:ff"],
    ),
]


@dataclass(frozen=True, slots=True)
class AllowlistPage:
    """Entries by their addresses. `total` counts all; `next`: the value of `skip` for the next page, or null."""

    entries: list[EntryView]
    total: int
    next: int | None


class EntrySettings(BaseModel):
    """What an entry says of its PCs. What is left out stays as it is, or follows the configuration; `""` removes it."""

    model_config = ConfigDict(extra="forbid")
    label: Annotated[str | None, Field(max_length=200)] = None
    default: Annotated[str | None, Field(max_length=100, description="The menu entry that they boot.")] = None
    timeout: Annotated[
        Annotated[int, Field(ge=0, le=LONGEST_TIMEOUT)] | Literal[""] | None,
        Field(description="How long to show the menu, in seconds (0: no menu)."),
    ] = None
    root: Annotated[str | None, Field(max_length=10, description="How they get the live system: nfs or http.")] = None
    schedule: Annotated[str | None, Field(max_length=40, description="When they compute.")] = None
    image: Annotated[str | None, Field(max_length=40, description="The image that they boot.")] = None

    def named(self) -> Mapping[str, str]:
        """The settings in the words of the allowlist's text form."""
        values = {"default": self.default, "timeout": self.timeout, "root": self.root}
        values |= {"schedule": self.schedule, "image": self.image}
        return {name: str(value) for name, value in values.items() if value is not None}


class NewEntry(EntrySettings):
    """A range that may boot."""

    range: Annotated[
        str,
        Field(
            min_length=1,
            max_length=40,
            description="A MAC address, FIRST-LAST, 52:54:00:* or 52:54:00:00:00:00/24.",
            examples=["52:54:00:aa:bb:cc"],
        ),
    ]


@router.get("", responses=problems())
async def list_entries(
    context: InContext,
    skip: Annotated[int, Query(ge=0, le=1 << 40, description="The `next` of the page before.")] = 0,
    limit: Limit = 100,
) -> AllowlistPage:
    """The ranges that may boot. While there is none, nobody may."""

    def read(registry: Registry) -> AllowlistPage:
        found = registry.allowlist()
        page = entry_views(found.page(skip, limit))
        return AllowlistPage(page, len(found), skip + limit if skip + limit < len(found) else None)

    return await context.with_registry(read)


@router.get("/check/{mac}", responses=problems())
async def check_mac(context: InContext, mac: MacInPath) -> AllowedCheck:
    """Whether a MAC address may boot, and which entry allows it."""
    address = MacAddress.parse(mac)
    return await context.with_registry(lambda registry: allowed_check(registry.allowlist(), address))


@router.post(
    "",
    status_code=201,
    responses={**problems(400, 404), 200: {"model": EntryView, "description": "It was allowed already."}},
    dependencies=_CHANGES,
)
async def add_entry(context: InContext, new: NewEntry, response: Response) -> EntryView:
    """Allow a range. If it is allowed already, it gets what is named here, and keeps the rest."""
    config = context.config

    def add(registry: Registry) -> AllowedEdit:
        return allowed_edits.add(registry, config, new.range, new.label, new.named())

    done = await context.with_registry(add)
    if done.before is not None:
        response.status_code = 200
    return entry_views([done.after])[0]


@router.patch("/{range}", responses=problems(400, 404), dependencies=_CHANGES)
async def change_entry(context: InContext, range: EntryInPath, settings: EntrySettings) -> EntryView:
    """Change an entry: what is named, and nothing else."""
    config = context.config

    def change(registry: Registry) -> AllowedEdit:
        return allowed_edits.change(registry, config, range, settings.label, settings.named())

    return entry_views([(await context.with_registry(change)).after])[0]


@router.delete("/{range}", status_code=204, responses=problems(404), dependencies=_CHANGES)
async def remove_entry(context: InContext, range: EntryInPath) -> None:
    """Remove an entry: its PCs may not boot any more, unless another one allows them."""

    def remove(registry: Registry) -> RemovedEntry:
        return allowed_edits.remove(registry, range)

    await context.with_registry(remove)
