"""The parts and surfaces that `mini` is shown: names, and the numbers that decide how each looks.

A noun is an *outline* (a family and eight numbers) with a *texture* (a family and four numbers). Ten nouns are held
out for the test and eight for validation: nothing is ever trained on them. They differ from the training nouns in
name, in their numbers, and in the pairing of outline and texture, no one of which occurs in training.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

OUTLINES = ("disc", "ring", "gear", "polygon", "blob", "bar", "cross", "bracket", "vessel", "surface")
TEXTURES = ("plain", "cloudy", "brushed", "weave", "tiles", "stripes", "terrazzo", "grown", "knurl", "hammered")
COLOURS = {  # BGR
    "red": (45, 45, 185), "green": (70, 140, 60), "blue": (175, 95, 45), "yellow": (60, 190, 215),
    "orange": (50, 120, 215), "brown": (55, 80, 120), "grey": (128, 128, 128), "white": (215, 220, 222),
    "black": (52, 50, 48), "silver": (185, 180, 175), "purple": (140, 65, 120), "beige": (160, 190, 210),
}  # fmt: skip

TRAINING_NAMES = """
washer bolt nut screw rivet bearing bushing gasket flange pulley sprocket cog wheel hub rotor stator shaft axle spindle
lever crank cam piston valve nozzle pipe tube hose elbow coupling clamp hinge latch handle knob button switch socket
plug connector terminal relay fuse capacitor resistor chip board heatsink fan lens mirror prism filter grille mesh
panel sheet plate foil film coil spring magnet battery cell lid cap cork stopper bottle jar can cup bowl dish tray
crate box carton pallet brick tile slab stone marble granite concrete plaster wood plank veneer plywood leather fabric
carpet denim felt canvas rubber foam sponge paper cardboard label ceramic porcelain glass pill tablet capsule candle
soap biscuit pretzel coin medal badge buckle zipper bead key blade chisel drill saw file hammer wrench
""".split()  # fmt: skip

# (name, outline, texture)
VALIDATION = (
    ("trivet", "gear", "weave"), ("plectrum", "polygon", "grown"), ("linoleum", "surface", "plain"),
    ("ingot", "bar", "cloudy"), ("grommet", "ring", "hammered"), ("flask", "vessel", "stripes"),
    ("poker chip", "disc", "knurl"), ("corbel", "bracket", "tiles"),
)  # fmt: skip
HELD_OUT = (
    ("impeller", "gear", "brushed"), ("manhole cover", "disc", "weave"), ("burlap", "surface", "knurl"),
    ("paving", "surface", "terrazzo"), ("kidney dish", "blob", "hammered"), ("hex key", "polygon", "cloudy"),
    ("ruler", "bar", "stripes"), ("o-ring", "ring", "grown"), ("ampoule", "vessel", "plain"),
    ("turnbuckle", "cross", "tiles"),
)  # fmt: skip
_RESERVED = {pair[1:] for pair in VALIDATION + HELD_OUT}
PAIRINGS = tuple((o, t) for o in OUTLINES for t in TEXTURES if (o, t) not in _RESERVED)
"""The (outline, texture) families that training may combine."""


@dataclass(frozen=True)
class Noun:
    """One kind of part: everything that stays the same from picture to picture."""

    name: str
    """What captions call it; "" for a part that has no name ("object", "part")."""
    outline: str
    outline_numbers: tuple[float, ...]
    """Eight numbers in [0, 1], read by `surfaces.outline`."""
    texture: str
    texture_numbers: tuple[float, ...]
    """Four numbers in [0, 1], read by `surfaces.texture`."""
    colours: tuple[str, ...]
    features: tuple[float, ...]
    """Six numbers in [0, 1]: bolt holes and their radius, rim line, hair lines and their angle, bevel."""


def imagine(name: str, rng: np.random.Generator, pairing: tuple[str, str] | None = None) -> Noun:
    """A noun with numbers drawn from `rng`; without `pairing`, one that training may use."""
    outline, texture = pairing or PAIRINGS[int(rng.integers(len(PAIRINGS)))]
    colours = rng.choice(list(COLOURS), size=3, replace=False)
    return Noun(
        name,
        outline,
        tuple(rng.random(8).round(4).tolist()),
        texture,
        tuple(rng.random(4).round(4).tolist()),
        tuple(str(colour) for colour in colours),
        tuple(rng.random(6).round(4).tolist()),
    )


def _named(name: str, pairing: tuple[str, str] | None = None) -> Noun:
    # crc32, not hash(): Python salts hash() in every process.
    return imagine(name, np.random.default_rng(crc32(name.encode())), pairing)


TRAINING_NOUNS = tuple(_named(name) for name in TRAINING_NAMES)
VALIDATION_NOUNS = tuple(_named(name, (outline, texture)) for name, outline, texture in VALIDATION)
HELD_OUT_NOUNS = tuple(_named(name, (outline, texture)) for name, outline, texture in HELD_OUT)
