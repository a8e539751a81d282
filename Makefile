# make demo   the whole thing on one machine: builds the image, boots a PC (QEMU), ends when it has computed
# make test   all tests: check (lint, types, unit), netns (real peers in network namespaces), e2e (QEMU)
# Both install what they need: Debian packages by apt-get, Python packages into .venv. Run them with sudo.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test check lint unit netns e2e setup venv packages lock clean

PYTHON := .venv/bin/python
LIVE := image/tree/includes.chroot_after_packages
# What the box itself needs, then what the virtual room and the tests need.
BOX_PACKAGES := python3 python3-venv live-build debootstrap squashfs-tools ipxe nfs-ganesha nfs-ganesha-vfs rpcbind
ROOM_PACKAGES := iproute2 procps util-linux dnsmasq-base udhcpc qemu-system-x86 ovmf tcpdump libnfs-utils boinc-client openssl \
	curl tftp-hpa shellcheck fdisk e2fsprogs nftables

demo: setup
	$(PYTHON) -m tests.room.demo

test: check netns e2e

check: setup
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint unit

lint:
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	shellcheck -x -P $(LIVE)/usr/lib/netboot-appliance .ci/run $$(grep -rlE '^#!/bin/(ba)?sh|^# shellcheck shell=' image/tree tests/fakes)

unit:
	.venv/bin/pytest tests/unit tests/transcripts

netns: setup
	.venv/bin/pytest tests/netns

e2e: setup
	.venv/bin/pytest -x tests/e2e

setup: packages venv

# Enough for a server that has the packages of the box.
venv: .venv/.ready

packages:
	@missing=$$(for p in $(BOX_PACKAGES) $(ROOM_PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "missing packages:" $$missing; echo "run this with sudo: it installs them"; exit 2; fi; \
		echo "installing:" $$missing; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# Debian's own interpreter, whatever else is first on the PATH: it is what the box runs on.
.venv/.ready: requirements-dev.lock pyproject.toml
	/usr/bin/python3 -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Needs uv (pip install uv). Every file of every release has its hash there, so one lock serves Debian 12 and 13.
lock:
	uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -o requirements.lock
	uv pip compile --quiet pyproject.toml --extra dev -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command 'make lock' -o requirements-dev.lock

clean:
	rm -rf .venv .room build *.egg-info
