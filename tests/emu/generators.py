"""Scripts that are too long to be written: each function yields the lines that `@name arguments` stands for. The same
seed gives the same lines."""

import random

KNOBS = {
    "vmentry_l1d_flush": ["auto", "never", "cond", "always"],
    "verw": ["auto", "on", "off"],
    "fb_clear_dis": ["cached", "toggle", "msrlist", "off"],
    "l1d_flush_by": ["wrmsr", "msrlist"],
    "rsb": ["auto", "off"],
    "bhb": ["auto", "off"],
    "spec_ctrl": ["auto", "off"],
    "ibpb": ["auto", "off"],
}


def random_from(seed):
    return random.Random(int(seed.removeprefix("seed=")))


def flips(count, seed):
    """Knobs at random; the flush mode more often than the others, and now and then by force."""
    dice = random_from(seed)
    for _ in range(int(count)):
        knob = dice.choice([*KNOBS, "vmentry_l1d_flush", "vmentry_l1d_flush", "fb_clear_dis"])
        force = " force" if knob == "vmentry_l1d_flush" and dice.random() < 0.1 else ""
        yield f"set {knob} {dice.choice(KNOBS[knob])}{force}"


def slow_flips(count, seed):
    """The flush mode at random, once a second."""
    dice = random_from(seed)
    for _ in range(int(count)):
        yield f"set vmentry_l1d_flush {dice.choice(KNOBS['vmentry_l1d_flush'])}"
        yield "wait 1"


def lives(count, seed, *names):
    """VMs stopped, started, reset, paused and resumed, in an order in which each command succeeds; all run at the end."""
    dice = random_from(seed)
    state = dict.fromkeys(names, "running")
    after = {("running", "stop"): "off", ("running", "pause"): "paused", ("running", "reset"): "running",
             ("paused", "resume"): "running", ("paused", "stop"): "off", ("off", "start"): "running"}
    for _ in range(int(count)):
        name = dice.choice(names)
        verb = dice.choice([verb for was, verb in after if was == state[name]])
        state[name] = after[state[name], verb]
        yield f"vm {verb} {name}"
        if dice.random() < 0.3:
            yield f"set vmentry_l1d_flush {dice.choice(KNOBS['vmentry_l1d_flush'])}"
    for name, is_now in state.items():
        if is_now != "running":
            yield f"vm {'start' if is_now == 'off' else 'resume'} {name}"


def life(count, seed, most_mib, *names):
    """Any command of life for any VM at any moment, many of them refused, and now and then another size of its memory, up
    to more than there is."""
    dice = random_from(seed)
    verbs = ["start", "stop", "pause", "resume", "reset"]
    for _ in range(int(count)):
        name = dice.choice(names)
        yield f"vm {dice.choice(verbs)} {name}"
        if dice.random() < 0.2:
            yield f"vm set {name} memory={dice.choice([8, 9, 16, 23, 40, int(most_mib)])}"
    for name in names:
        yield f"vm stop {name}"


def repeat(count, *words):
    """The same line again and again."""
    yield from [" ".join(words)] * int(count)
