"""When a node is killed. Each moment takes a campaign whose node runs under load, and leaves it dead."""

import signal
import threading
import time

from support.wait import wait_for

ACKS = 100  # In each life, before the moment is looked for.

# Calls before which the kernel kills, and the highest number that is of interest. Counted by thread: low ones are those of
# the start, of flushes and of compactions, high ones those of the committer.
CALLS = {"fdatasync": 200, "write": 200, "fsync": 9, "rename": 2, "unlink": 10, "ftruncate": 7, "fallocate": 12,
         "sync_file_range": 8}



def any_time(campaign):
    campaign.load.wait_acked(ACKS)
    time.sleep(campaign.random.random() * 0.2)
    campaign.kill()


class Trap:
    """The next call of a hook kills, after a pause of up to `pause` seconds; the others pass."""

    def __init__(self, campaign, pause):
        self.campaign, self.pause = campaign, pause * campaign.random.random()
        self.free, self.sprung = threading.Lock(), threading.Event()

    def __call__(self, *_):
        if not self.free.acquire(blocking=False):
            return
        time.sleep(self.pause)
        self.campaign.kill()
        self.sprung.set()

    def wait(self):
        wait_for(lambda: self.sprung.is_set() or self.campaign.load.failure, 60, "the moment")


def trapped(campaign, owners, hook, pause):
    campaign.load.wait_acked(ACKS)
    trap = Trap(campaign, pause)
    for owner in owners:
        setattr(owner, hook, trap)
    try:
        trap.wait()
    finally:
        for owner in owners:
            setattr(owner, hook, lambda *_: None)


def dot_sent(campaign):
    """A client has sent its final dot and has no reply."""
    trapped(campaign, [campaign.load], "on_dot", 0.004)


def just_acknowledged(campaign):
    trapped(campaign, [campaign.load], "on_ack", 0.002)


def dot_received(campaign):
    """A receiver has the final dot and has not answered."""
    trapped(campaign, campaign.sinks, "on_dot", 0.002)


def just_received(campaign):
    """A receiver has just said 250."""
    trapped(campaign, campaign.sinks, "on_told", 0.004)


def starting(campaign):
    """Killed, and again 0 to 200 ms after the next start."""
    campaign.load.wait_acked(ACKS)
    campaign.kill()
    campaign.begin(wait=False)
    time.sleep(campaign.random.random() * 0.2)
    campaign.kill()


def draining(campaign):
    """0 to 300 ms after SIGTERM."""
    campaign.load.wait_acked(ACKS)
    campaign.node.process.signal(signal.SIGTERM)
    time.sleep(campaign.random.random() * 0.3)
    campaign.kill()


def at_a_call(campaign):
    """The kernel kills before a system call: small buffers, so flushes and compactions go on all the time."""
    goal = campaign.load.acked() + 3 * ACKS
    begin = time.monotonic()
    wait_for(lambda: not campaign.node.process.running() or campaign.load.acked() >= goal or campaign.load.failure, 60,
             lambda: f"an end at {campaign.node.wrap}")
    if campaign.node.process.running():
        campaign.missed += 1
    campaign.kill(since=max(begin, time.monotonic() - 1))


def tracer(campaign):
    """The command that runs a node until a call."""
    call = campaign.random.choice(list(CALLS))
    number = round(CALLS[call] ** campaign.random.random())  # Low ones as often as high ones.
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", "signal=none",
            "-e", f"inject={call}:signal=SIGKILL:when={number}"]


KINDS = {
    "c01": [any_time],
    "c02": [dot_sent, just_acknowledged, dot_received, just_received, starting, draining, at_a_call, at_a_call],
    "c04": [any_time, any_time, dot_sent, just_acknowledged, just_received],
}
