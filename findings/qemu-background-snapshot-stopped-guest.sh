#!/bin/bash
# One would guess: `migrate` with the capability background-snapshot leaves a guest that was stopped
# before as it found it, or lets it run, but the same in every release.
#
# What happens (run 2026-11-30, TCG, the guest sits in its firmware): QEMU 7.2.22 (Debian 12) lets
# the stopped guest run by itself as soon as its memory is write-protected, with a RESUME event.
# QEMU 10.0.13 (Debian 13) and 11.1.3 (sid) leave it stopped, without any event for it, through the
# whole snapshot and after it. A guest that runs gets STOP and RESUME from all three.
#
# Output seen:
#     QEMU 7.2.22: stopped before: events STOP RESUME, afterwards running
#     QEMU 7.2.22: running before: events STOP RESUME, afterwards running
#     QEMU 10.0.13: stopped before: events STOP, afterwards paused
#     QEMU 10.0.13: running before: events STOP RESUME, afterwards running
#     QEMU 11.1.3: stopped before: events STOP, afterwards paused
#     QEMU 11.1.3: running before: events STOP RESUME, afterwards running
# (The STOP of "stopped before" is that of the command `stop`.)
#
# What it means: who stops several guests for one cut and then snapshots them cannot wait for RESUME
# with a newer QEMU, but may hold the guests as long as he likes and must `cont` them himself; with
# 7.2 he cannot hold them and must not `cont` before RESUME.
#
# Takes two minutes. Needs root (userfaultfd's write protection), mmdebstrap, python3, Debian's
# archive.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
mirror=http://deb.debian.org/debian
keys=/usr/share/keyrings/debian-archive-keyring.gpg

skip() { echo "SKIP: $*"; exit 77; }
command -v mmdebstrap >/dev/null || skip "no mmdebstrap"
[ "$(id -u)" = 0 ] || skip "not root"

root() { # suite version
    nice mmdebstrap --quiet --variant=extract --keyring="$keys" \
        --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="qemu-system-x86=$2" "$1" "$work/$1" "$mirror" 2>"$work/$1.log" || {
        tail -n 3 "$work/$1.log"
        skip "qemu-system-x86 $2 of $1 cannot be had"
    }
    for d in bin sbin lib lib64; do
        [ -e "$work/$1/$d" ] || ln -s "usr/$d" "$work/$1/$d"
    done
    mkdir -p "$work/$1/run"
}

cat >"$work/snapshot.py" <<'P'
import json, signal, socket, subprocess, sys, threading, time

root, stopped_before = sys.argv[1], sys.argv[2] == "stopped"
LIMIT = 120
events = []


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    return s


def drain(server):
    stream, _ = server.accept()
    while stream.recv(1 << 20):
        pass


def command(name, **arguments):
    monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
    while True:
        reply = json.loads(lines.readline())
        if "error" in reply:
            raise RuntimeError(f"{name}: {reply['error']['desc']}")
        if "return" in reply:
            return reply["return"]
        events.append(reply["event"])


tag = sys.argv[2]
ends = listen(f"{root}/run/{tag}.qmp")
stream = listen(f"{root}/run/{tag}.stream")
signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
qemu = subprocess.Popen(["chroot", root, "qemu-system-x86_64", "-accel", "tcg", "-m", "64",
                         "-nodefaults", "-no-user-config", "-display", "none", "-qmp",
                         f"unix:/run/{tag}.qmp"], stdin=subprocess.DEVNULL)
try:
    ends.settimeout(LIMIT)
    monitor, _ = ends.accept()
    monitor.settimeout(LIMIT)
    lines = monitor.makefile("r")
    v = json.loads(lines.readline())["QMP"]["version"]["qemu"]
    command("qmp_capabilities")
    threading.Thread(target=drain, args=(stream,), daemon=True).start()
    time.sleep(1)
    if stopped_before:
        command("stop")
    command("migrate-set-capabilities",
            capabilities=[{"capability": "background-snapshot", "state": True}])
    command("migrate", uri=f"unix:/run/{tag}.stream")
    until = time.time() + LIMIT
    while (status := command("query-migrate").get("status")) != "completed":
        if status == "failed" or time.time() > until:
            raise RuntimeError(f"the snapshot is {status}")
        time.sleep(0.05)
    time.sleep(1)
    state = command("query-status")["status"]
    seen = " ".join(e for e in events if e in ("STOP", "RESUME"))
    print(f"QEMU {v['major']}.{v['minor']}.{v['micro']}: {tag} before: events {seen},"
          f" afterwards {state}")
    with open(f"{root}/run/result", "w") as f:
        f.write(f"{seen}, {state}")
finally:
    qemu.kill()
    qemu.wait()
P

check() { # suite before expected
    timeout 300 nice python3 "$work/snapshot.py" "$work/$1" "$2"
    [ "$(cat "$work/$1/run/result")" = "$3" ] || { echo "CHANGED: expected $3"; exit 1; }
}

root bookworm 1:7.2+dfsg-7+deb12u18+b3
check bookworm stopped "STOP RESUME, running"
check bookworm running "STOP RESUME, running"
root trixie 1:10.0.13+ds-0+deb13u1
check trixie stopped "STOP, paused"
check trixie running "STOP RESUME, running"
root sid 1:11.1.3+ds-1
check sid stopped "STOP, paused"
check sid running "STOP RESUME, running"
echo "as described: 7.2 lets a stopped guest run, 10.0 and 11.1 do not"
