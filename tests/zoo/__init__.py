"""The firmware zoo: boot firmware as state machines, a module for each kind, written from its sources or its standard.

They show what each kind of firmware does with the box's answers, so that no change of these goes unnoticed. PURE: time
is an argument, packets are values. network.py plays them on a fake clock through all their retries
(tests/transcripts/test_zoo.py); tests/netns/test_firmware_zoo.py plays them on sockets with the real server.
"""
