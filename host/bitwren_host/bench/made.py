"""Ten thousand documents that everyone can make again: sentences of a fictional help desk, put together from lists of words.

No real text is needed, so the figures of a whole query can be had from any checkout.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitwren.corpus import Document

_STRIDE = 7919  # a prime that does not divide the number of sentences: each comes once, and neighbours come from far apart


@dataclass(frozen=True)
class _Topic:
    """Every thing can have every trouble at every moment."""

    place: str
    things: tuple[str, ...]
    troubles: tuple[tuple[str, str], ...]  # what happens, what helps
    moments: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def _troubles(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition(":") for line in text.strip().splitlines())
    return tuple((trouble.strip(), remedy.strip()) for trouble, _, remedy in pairs)


_TOPICS = (
    _Topic(
        "kitchen",
        _words("dishwasher, oven, kettle, coffee machine, fridge, freezer, toaster, blender, microwave, rice cooker, hob, mixer"),
        _troubles("""
            smells of burnt plastic: unplug it, look at the cord
            leaves water on the floor: tighten the hose clamp
            hums but does not start: check the door switch
            trips the fuse every time: have the heater measured
            shows a code that I cannot read: hold reset for ten seconds
            takes twice as long as it did: remove the scale
            rattles like loose cutlery: empty the sieve
            gets hot on the outside: clear the vents
            beeps three times and stops: fill the tank
        """),
        _words(
            "after cleaning it, when the lid is closed, late in the evening, since we moved, with a full load, on the eco setting"
        ),
    ),
    _Topic(
        "office",
        _words(
            "printer, scanner, projector, monitor, docking station, headset, keyboard, webcam, label maker, shredder, desk phone"
        ),
        _troubles("""
            is not found by the laptop: install the driver again
            prints grey stripes: clean the drum
            keeps asking for a password: renew the certificate
            flickers in a steady rhythm: set 60 hertz
            lost all of its settings: load the backup profile
            goes to sleep in the middle of work: raise the idle time
            answers only after a minute: give it a fixed address
            crackles and cuts out: choose another channel
            cannot be shared with colleagues: join the group first
        """),
        _words(
            "during a meeting, after the update, on the third floor, over the guest network, since Monday, with the lid closed"
        ),
    ),
    _Topic(
        "workshop",
        _words(
            "lathe, drill press, band saw, compressor, welding set, "
            "milling machine, grinder, laser cutter, 3D printer, pump, hoist"
        ),
        _troubles("""
            vibrates more than it should: balance the wheel
            stalls under load: check two phases of the supply
            loses oil at the seal: replace the lip seal
            cuts a millimetre too wide: calibrate the stop
            shrieks when it runs empty: grease the bearing
            sparks at the brushes: fit new brushes
            does not hold its pressure: renew the check valve
            drifts to the left: square the fence
            shuts down with a red light: wait until it is cool
        """),
        _words("after an hour, with hard wood, in cold weather, at full speed, since the belt was changed, with the new blade"),
    ),
    _Topic(
        "garden",
        _words(
            "lawn mower, hedge trimmer, sprinkler, greenhouse heater, "
            "chain saw, pond filter, leaf blower, irrigation timer, shed lamp"
        ),
        _troubles("""
            will not start in spring: drain the old petrol
            drips although it is off: swap the rubber washer
            floods one bed and forgets the other: rinse the valve
            draws blue smoke behind it: lower the oil level
            turns on at the wrong hour: set the clock anew
            tears the leaves instead of cutting: sharpen the blade
            freezes over in the night: let the pipe run dry
            is eaten at by mice: put it on a shelf
        """),
        _words("after the winter, in long grass, when it rains, at noon, next to the hedge, with the battery nearly empty"),
    ),
    _Topic(
        "vehicle",
        _words(
            "van, tractor, bicycle, scooter, forklift, trailer, motor boat, camper, delivery truck, wheelchair, electric bike"
        ),
        _troubles("""
            pulls to one side when braking: bleed the brake line
            needs a jump start each morning: test the alternator
            shows the yellow engine lamp: read the error memory
            steers heavily: top up the fluid
            squeaks from the rear axle: change the bush
            uses a litre more than last year: check tyre pressure
            loses power uphill: clean the air filter
            blows cold air only: bleed the radiator
            charges to eighty percent at most: balance the cells
        """),
        _words("on gravel, with two people, downhill, below zero, on the motorway, after standing for a week"),
    ),
    _Topic(
        "account",
        _words(
            "invoice, refund, subscription, gift card, direct debit, credit note, "
            "delivery, order, return, voucher, membership, deposit"
        ),
        _troubles("""
            was booked twice: we send one back in three days
            carries the wrong name: change it under profile
            has not arrived yet: follow the tracking link
            cannot be cancelled online: write to the billing desk
            shows last year's address: confirm the new one by mail
            was refused by the bank: try another card
            is in a foreign currency: choose yours at checkout
            ended without notice: reopen it within a month
            costs more than was agreed: send us the offer
        """),
        _words("for my mother, before the holidays, for the second time, from the app, for our company, without a receipt"),
    ),
    _Topic(
        "sensor node",
        _words(
            "thermometer, soil probe, door contact, motion sensor, "
            "air quality meter, water meter, weather station, light barrier, scale"
        ),
        _troubles("""
            reports minus forty degrees: the probe is open
            sends the same value for hours: restart its task
            drops off the network at night: lower the send power
            eats a battery in a week: lengthen the sleep
            jumps between two values: add a filter capacitor
            is three degrees too warm: move it off the board
            counts twice for each pulse: debounce the input
            does not join after a reset: pair it once more
        """),
        _words(
            "in the cellar, behind a metal door, at high humidity, after a firmware change, on the long cable, near the motor"
        ),
    ),
    _Topic(
        "travel",
        _words(
            "passport, visa, train ticket, suitcase, hotel room, "
            "rental car, ferry booking, boarding pass, travel insurance, shuttle"
        ),
        _troubles("""
            is valid for two more weeks only: ask for an extension
            went missing on the way: report it at the counter
            has a spelling mistake in it: correct it before check-in
            was given to somebody else: show your booking number
            must be paid again: keep both receipts
            cannot be opened on the phone: load the print version
            is too heavy by four kilos: buy more weight online
            was moved to another day: the old one stays free
        """),
        _words("one day before leaving, at the border, on a Sunday, with a child, for a group of nine, in the transit area"),
    ),
)

_PATTERNS = (
    "the {thing} {trouble} {moment}",
    "{moment} our {thing} {trouble}, what can I do?",
    "my {thing} {trouble}: it happens {moment}",
    "Why is it that the {thing} {trouble} {moment}?",
    "I have a {thing} that {trouble} {moment} and I need help",
)


def documents(count: int) -> list[Document]:
    """The first ``count`` documents, deterministic, no two texts alike; at most 22,110."""
    sentences = [
        (topic, thing, trouble, moment, pattern)
        for topic in _TOPICS
        for thing in topic.things
        for trouble in topic.troubles
        for moment in topic.moments
        for pattern in _PATTERNS
    ]
    if count > len(sentences):
        raise ValueError(f"{len(sentences)} sentences can be made, not {count}")
    made = []
    for number in range(count):
        topic, thing, (trouble, remedy), moment, pattern = sentences[number * _STRIDE % len(sentences)]
        text = pattern.format(thing=thing, trouble=trouble, moment=moment)
        made.append(Document(f"m{number}", text, f"{thing}: {remedy}", topic.place))
    return made


QUERIES = (
    "How do I stop the coffee machine from leaking on the floor?",
    "my bike battery only charges up to 80 percent",
    "the temperature sensor always says -40",
)
"""Asked of them: none is one of the texts."""
