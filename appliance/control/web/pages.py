"""The pages beside the room, each with a router of its own."""

from fastapi import APIRouter

from appliance.control.web import (
    allowlist,
    boxes,
    faults,
    health,
    image_diff,
    images,
    log,
    notices,
    pc,
    refused,
)

ROUTERS: tuple[APIRouter, ...] = (
    pc.router,
    faults.router,
    refused.router,
    allowlist.router,
    health.router,
    log.router,
    images.router,
    image_diff.router,
    boxes.router,
    notices.router,
)
