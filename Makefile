# make unit   unit tests and transcripts; needs python3-venv and no root (CONTRIBUTING.md)
# make demo   the whole thing on one machine: builds the image, boots a PC in QEMU, ends when the PC has computed
#             (KEEP=1: the room and its page stay until Ctrl-C)
# make test   all tests: check (lint, types, unit), netns (real peers in network namespaces), e2e (QEMU), e2e-server
# make bench  how fast the box is, beside the servers written in C (docs/performance.md)
# make soak   ten minutes of mixed load and attacks: do all PCs boot, do memory and disk stay flat?
# make deb    the Debian package, for the Debian it is built on; apt install it on a server
# make install, make uninstall   the same on this machine, without a package
# All but `make unit` and `make venv` install the Debian packages they need: run them with sudo. Python packages go
# into .venv or /opt.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test check lint unit unit-appliance unit-others netns e2e e2e-server bench soak fuzz setup venv packages box-packages lock clean deb install uninstall

PYTHON := .venv/bin/python
# The test files with emulated PCs, and those with whole servers; the longest of each.
STORY := tests/e2e/test_main_job.py
E2E := $(filter-out $(STORY),$(wildcard tests/e2e/test_*.py))
SERVER_STORY := tests/server/test_story.py
SERVER := $(filter-out $(SERVER_STORY),$(wildcard tests/server/test_*.py))
TWO_AT_ONCE := --no-print-directory --jobs=2 --output-sync=target
MACHINES := $(addprefix run/,$(STORY) $(E2E) $(SERVER_STORY) $(SERVER))
LIVE := image/tree/includes.chroot_after_packages
DEB_SOURCES := appliance services image systemd packaging debian docs README.md LICENSE pyproject.toml $(wildcard requirements*.lock)
# What the box itself needs, then what the virtual room and the tests need on top.
BOX_PACKAGES := python3 python3-venv live-build debian-archive-keyring debootstrap squashfs-tools e2fsprogs iproute2 nftables openssl ca-certificates tzdata
ROOM_PACKAGES := ipxe shim-signed grub-efi-amd64-signed nfs-ganesha nfs-ganesha-vfs rpcbind procps util-linux dnsmasq-base udhcpc qemu-system-x86 ovmf sbsigntool tcpdump libnfs-utils boinc-client chromium gpg gpg-agent \
	curl tftp-hpa shellcheck fdisk bash-completion zsh fish man-db \
	mmdebstrap systemd-container openssh-client
# A compiler for the load generators, and the libraries of the servers we compare with.
BENCH_PACKAGES := gcc libc6-dev dnsmasq-base nftables ethtool util-linux libwrap0 libpcre2-8-0

demo: setup
	$(PYTHON) -m tests.room.demo $(if $(KEEP),--keep)

# The first file also builds the live image, which the others of E2E and the server's story would wait for.
test: check netns
	$(call run-files,$(STORY) $(SERVER) $(SERVER_STORY) $(E2E))

check: setup
	$(MAKE) $(TWO_AT_ONCE) unit-appliance lint unit-others

lint: venv
	.venv/bin/ruff check . && .venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/mypy packaging/*.py
	shellcheck -x -P $(LIVE)/usr/lib/netboot-appliance .ci/run \
		$$(grep -rlE '^#!/bin/(ba)?sh|^# shellcheck shell=' image/tree tests/fakes packaging debian/*.p*)

# Installs no package. Tests that need one, or root, are skipped, and the summary says which and why.
unit: venv
	$(MAKE) --no-print-directory unit-appliance
	$(MAKE) --no-print-directory unit-others

# Halves for two cores: unit-appliance takes as long as lint and unit-others together.
unit-appliance: venv
	$(call once-more,unit-appliance,tests/unit/appliance)

unit-others: venv
	$(call once-more,unit-others,tests/unit tests/transcripts --ignore=tests/unit/appliance)

# Two files at a time: most tests wait for somebody's timeout.
netns: setup
	$(call once-more,netns,tests/netns,--numprocesses=2 --dist=loadfile)

# What a busy machine makes fail runs once more, alone. The log shows both: a test that needs it has a race, which is a
# bug to find. Arguments: a name for what is remembered, the tests, options of the first run only.
define once-more
	.venv/bin/pytest -o cache_dir=.room/pytest-$(1) $(3) $(2) || { \
		[ $$? = 1 ] && echo "RACE? Once more, alone, what failed while two ran side by side:" && \
		.venv/bin/pytest -o cache_dir=.room/pytest-$(1) --last-failed --last-failed-no-failures=none $(2); }
endef

e2e: setup
	$(call run-files,$(STORY) $(E2E))

# Servers in containers and in QEMU, Debian 12 and 13, with the package installed. It is built first if it is out of date.
e2e-server: setup
	$(call run-files,$(SERVER_STORY) $(SERVER))

# Two files at a time: an emulated PC takes one processor, and waits for others half of the time. What a file prints is
# shown when it has ended. As for netns, what fails runs once more, alone; of the third that fails, no other begins.
define run-files
	@mkdir -p .room; rm -f .room/failed
	$(MAKE) $(TWO_AT_ONCE) FAILED=.room/failed $(addprefix run/,$(1))
	@[ ! -e .room/failed ] || { \
		echo "RACE? Once more, alone, what failed while two ran side by side:"; \
		xargs .venv/bin/pytest -x <.room/failed; }
endef

.PHONY: $(MACHINES)
$(MACHINES): run/%:
	@MAKEFLAGS= .venv/bin/pytest -x $* || { \
		[ $$? = 1 ] && [ -n "$(FAILED)" ] && echo $* >>"$(FAILED)" && [ $$(wc -l <"$(FAILED)") -lt 3 ]; }

# debian/rules sets DESTDIR and prefix=/usr; packaging/install reads them from the environment.
export DESTDIR prefix unitdir
install: $(if $(DESTDIR),,box-packages)
	packaging/install

uninstall:
	packaging/uninstall

# The box beside tftpd-hpa, atftpd, dnsmasq and nginx. Takes half an hour on a machine that does nothing else.
# BENCH= options for bench.run, such as --quick, --only tftp, --write (into docs/performance.md).
bench: BENCH :=
bench: bench-packages setup
	$(PYTHON) -m bench.run $(BENCH)

# Not in CI: minutes of mixed load; fails if memory or descriptors grow. SECONDS= how long.
soak: SECONDS := 600
soak: setup
	$(PYTHON) -m bench.soak --seconds $(SECONDS)

# Built in a copy of the package's sources: the working tree stays unchanged, and nothing else gets into the package.
deb:
	@mkdir -p build; directory=$$(mktemp -d $(CURDIR)/build/deb.XXXXXX); trap 'rm -rf "$$directory"' EXIT; tree=$$directory/tree; \
	set -e; mkdir $$tree; cp -r $(DEB_SOURCES) $$tree; cd $$tree; \
	if ! dpkg-checkbuilddeps 2>/dev/null; then \
		apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get build-dep -y -qq --no-install-recommends ./ >/dev/null; \
	fi; \
	dpkg-buildpackage --build=binary --no-sign; \
	cd $(CURDIR); rm -rf $$tree build/deb; chmod 755 $$directory; mv $$directory build/deb; \
	echo "The package: $$(ls build/deb/*.deb)"

setup: packages venv

# The Python environment alone, without root. It is in .venv.
venv: .venv/.ready

packages: WANTED = $(BOX_PACKAGES) $(ROOM_PACKAGES)
bench-packages: WANTED = $(BENCH_PACKAGES)
# The kernel's NFS server, unless the administrator has installed NFS-Ganesha.
box-packages: WANTED = $(BOX_PACKAGES) $(if $(wildcard /usr/bin/ganesha.nfsd),,nfs-kernel-server)
packages box-packages bench-packages:
	@missing=$$(for p in $(WANTED); do \
		dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "missing packages:" $$missing; echo "run this with sudo: it installs them"; exit 2; fi; \
		echo "installing:" $$missing; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# Debian's own interpreter, whatever comes first on the PATH: the box runs on that one.
.venv/.ready: requirements-dev.lock pyproject.toml
	/usr/bin/python3 -m venv --clear .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# Needs uv (pip install uv). The locks have the hash of every file of each release, so they serve Debian 12 and 13.
lock:
	uv pip compile --quiet pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command 'make lock' -o requirements.lock
	uv pip compile --quiet pyproject.toml --extra dev -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command 'make lock' -o requirements-dev.lock
	echo 'setuptools>=68' | uv pip compile --quiet - -c requirements-dev.lock --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command 'make lock' -o requirements-build.lock
	echo 'atheris<3.1' | uv pip compile --quiet - -c requirements-dev.lock --universal --python-version 3.11 \
		--generate-hashes --custom-compile-command 'make lock' -o requirements-fuzz.lock

# Not in CI. TARGET=dhcp|tftp|http|report|pcap|netlink, SECONDS= how long, INPUT= the file of an earlier finding, to
# replay it.
TARGET := dhcp
SECONDS := 300
fuzz: .room/fuzz-venv/.ready
	.room/fuzz-venv/bin/python -m tests.fuzz.run $(TARGET) $(if $(INPUT),--input $(INPUT),--seconds $(SECONDS))

# An environment of its own: Atheris has wheels for few versions of Python, and only the fuzzers use it.
.room/fuzz-venv/.ready: requirements-dev.lock requirements-fuzz.lock
	/usr/bin/python3 -m venv --clear $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock -r requirements-fuzz.lock
	touch $@

clean:
	rm -rf .venv .room build *.egg-info
