"""Deterministic weights and inputs for the golden vectors.

Pure numpy, no reference code.  Everything is a function of an integer seed and
of a name, so that neither weights nor inputs have to be shipped.

Weights
-------
For every state-dict key a private generator is made:

    rng = Generator(PCG64(crc32(f"{seed}:{key}")))

and exactly ONE call of ``rng.standard_normal(shape)`` (float64, C order) gives
``n``.  The tensor is then, cast to float32:

    *.num_batches_tracked            int64 zero, shape ()
    *.running_mean                   0.1 * n
    *.running_var                    1 + 0.1 * |n|
    1-D "weight" (BN / L2Norm scale) 1 + 0.1 * n
    1-D "bias" (conv, linear, BN)    0.1 * n
    >=2-D weight                     gain / sqrt(fan_in) * n,
                                     fan_in = product(shape[1:])

``fan_in`` is product(shape[1:]) for transposed convolutions as well (PyTorch
layout in, out, kh, kw), although that is not their true fan-in: the rule only
looks at the shape.

``gain`` is looked up in NETWORKS[network]: first "key_gain" (exact key), then
"square" if shape[0] == shape[1], else "other".  "bias_add" (syncnet_v2 only)
adds a constant to the two embedding biases, after the 0.1 * n: it makes the
distance to a zero-padded feature larger than to a real one, as in a trained
network.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bytes = NDArray[np.uint8]

NETWORKS: dict[str, dict[str, Any]] = {
    "wav2lip": {"square": 0.7, "other": 1.5, "key_gain": {"output_block.1.weight": 1.0}},
    "expert": {"square": 0.7, "other": 1.5, "key_gain": {}},
    "disc_qual": {"square": 1.4, "other": 1.4, "key_gain": {}},
    "syncnet_v2": {
        "square": 1.4,
        "other": 1.4,
        "key_gain": {"netcnnlip.0.weight": 0.014, "netcnnaud.0.weight": 0.14},
        "bias_add": {"netfclip.3.bias": 6.0, "netfcaud.3.bias": 6.0},
    },
    "s3fd": {"square": 1.4, "other": 1.4, "key_gain": {"conv1_1.weight": 0.02}},
    "fid_inception": {"square": 1.4, "other": 1.4, "key_gain": {}},
}


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Private generator of (seed, name)."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(f"{seed}:{name}".encode())))


def tensor_for(network: str, seed: int, key: str, shape: Sequence[int]) -> NDArray[Any]:
    """The tensor of one state-dict key."""
    shape = tuple(int(s) for s in shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    n = rng_for(seed, key).standard_normal(shape)
    if leaf == "running_mean":
        out = 0.1 * n
    elif leaf == "running_var":
        out = 1.0 + 0.1 * np.abs(n)
    elif len(shape) == 1:
        out = 1.0 + 0.1 * n if leaf == "weight" else 0.1 * n
        out = out + NETWORKS[network].get("bias_add", {}).get(key, 0.0)
    else:
        cfg = NETWORKS[network]
        if key in cfg["key_gain"]:
            gain = cfg["key_gain"][key]
        elif shape[0] == shape[1]:
            gain = cfg["square"]
        else:
            gain = cfg["other"]
        out = gain / np.sqrt(float(np.prod(shape[1:]))) * n
    return out.astype(np.float32)


def state_dict_for(network: str, seed: int, spec: Iterable[tuple[str, Sequence[int], str]]) -> dict[str, NDArray[Any]]:
    """spec: iterable of [key, shape, dtype] as in checkpoints/*.json."""
    return {key: tensor_for(network, seed, key, shape) for key, shape, _ in spec}


def array_for(seed: int, name: str, shape: tuple[int, ...], kind: str) -> Floats:
    """Input arrays, float32.

    kind "unit":   U[0, 1)
    kind "mel":    -4 + 8 * U[0, 1)
    kind "byte":   integers 0..255 as float32
    kind "normal": N(0, 1)
    """
    rng = rng_for(seed, "input:" + name)
    if kind == "unit":
        a = rng.random(shape)
    elif kind == "mel":
        a = -4.0 + 8.0 * rng.random(shape)
    elif kind == "byte":
        a = np.floor(256.0 * rng.random(shape))
    elif kind == "normal":
        a = rng.standard_normal(shape)
    else:
        raise ValueError(kind)
    return a.astype(np.float32)


def wav2lip_inputs(seed: int, batch: int = 2, frames: int | None = None, size: int = 96) -> tuple[Floats, Floats]:
    """(mel, faces): 4-D when frames is None, else 5-D.

    faces channels 0..2: target with the lower half set to zero,
    channels 3..5: reference.
    """
    if frames is None:
        mel = array_for(seed, "wav2lip.mel4", (batch, 1, 80, 16), "mel")
        x = array_for(seed, "wav2lip.face4", (batch, 6, size, size), "unit")
        x[:, :3, size // 2 :] = 0.0
    else:
        mel = array_for(seed, "wav2lip.mel5", (batch, frames, 1, 80, 16), "mel")
        x = array_for(seed, "wav2lip.face5", (batch, 6, frames, size, size), "unit")
        x[:, :3, :, size // 2 :] = 0.0
    return mel, x


def waveform_i16(seed: int, seconds: float = 3.217, sr: int = 16000) -> NDArray[np.int16]:
    """Synthetic mono speech-like test signal as int16, n = round(seconds*sr).

    t = arange(n)/sr
    env = 0.55 + 0.45*sin(2*pi*(3.1+0.2*seed)*t)
    x = env*(0.30*sin(2*pi*((140+23*seed)*t + 60*t**2))
           + 0.22*sin(2*pi*((900+71*seed)*t + 410*t**2))
           + 0.12*sin(2*pi*((5200-133*seed)*t - 350*t**2)))
        + 0.03*(2*U-1),       U = rng_for(seed, "input:wave").random(n)
    samples with 1.00 <= t < 1.15 are exactly zero (digital silence)
    int16 = rint(32767*x)
    """
    n = round(seconds * sr)
    t = np.arange(n, dtype=np.float64) / sr
    env = 0.55 + 0.45 * np.sin(2 * np.pi * (3.1 + 0.2 * seed) * t)
    x = env * (
        0.30 * np.sin(2 * np.pi * ((140 + 23 * seed) * t + 60 * t**2))
        + 0.22 * np.sin(2 * np.pi * ((900 + 71 * seed) * t + 410 * t**2))
        + 0.12 * np.sin(2 * np.pi * ((5200 - 133 * seed) * t - 350 * t**2))
    )
    x = x + 0.03 * (2.0 * rng_for(seed, "input:wave").random(n) - 1.0)
    x[(t >= 1.00) & (t < 1.15)] = 0.0
    return np.rint(32767.0 * x).astype(np.int16)


def waveform_f32(seed: int, seconds: float = 3.217, sr: int = 16000) -> Floats:
    """The same signal as a PCM16 WAV reader returns it: int16 / 32768."""
    return waveform_i16(seed, seconds, sr).astype(np.float32) / np.float32(32768.0)


def clip_frames(seed: int, count: int = 30, height: int = 224, width: int = 224) -> Bytes:
    """Synthetic clip, uint8, (count, height, width, 3), channel order as stored.

    Per channel c: 127.5 + 55*sin(2*pi*(x/(31+6c+seed) + 0.09*(c+1)*i))
                         + 45*cos(2*pi*(y/(47-5c) - 0.06*i + 0.01*seed))
    then inside the ellipse centred at (0.5*width, 0.68*height) with half-axes
    0.20*width and 0.03*height + 0.09*height*(0.5+0.5*sin(2*pi*(0.13+0.01*seed)*i))
    the value is multiplied by 0.25; rint, clip to 0..255.
    """
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    out = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        ry = 0.03 * height + 0.09 * height * (0.5 + 0.5 * np.sin(2 * np.pi * (0.13 + 0.01 * seed) * i))
        rx = 0.20 * width
        mouth = ((x - 0.5 * width) / rx) ** 2 + ((y - 0.68 * height) / ry) ** 2 <= 1.0
        for c in range(3):
            v = (
                127.5
                + 55 * np.sin(2 * np.pi * (x / (31 + 6 * c + seed) + 0.09 * (c + 1) * i))
                + 45 * np.cos(2 * np.pi * (y / (47 - 5 * c) - 0.06 * i + 0.01 * seed))
            )
            v = np.where(mouth, 0.25 * v, v)
            out[i, :, :, c] = np.clip(np.rint(v), 0, 255).astype(np.uint8)
    return out


def shifted_features(
    seed: int, count: int = 40, dim: int = 1024, shift: int = 3, noise: float = 0.3
) -> tuple[Floats, Floats]:
    """(lip, aud), float32, for the distance curve alone, shift may be negative.

    base = array_for(seed, "pdist.base", (count + 2*|shift|, dim), "normal")
    lip[i] = base[i + |shift|]
    aud[i] = base[i + |shift| - shift] + noise * array_for(seed, "pdist.noise", (count, dim), "normal")[i]
    i.e. aud[i + shift] matches lip[i].
    """
    s = abs(shift)
    base = array_for(seed, "pdist.base", (count + 2 * s, dim), "normal")
    lip = base[s : s + count].copy()
    aud = base[s - shift : s - shift + count] + np.float32(noise) * array_for(
        seed, "pdist.noise", (count, dim), "normal"
    )
    return lip, aud.astype(np.float32)


def boxes_for(seed: int, count: int = 23) -> NDArray[np.int64]:
    """Integer face boxes [x1, y1, x2, y2] with jitter, (count, 4) int64."""
    j = np.floor(21.0 * rng_for(seed, "input:boxes").random((count, 4))).astype(np.int64) - 10
    return np.array([60, 40, 180, 200], np.int64)[None] + j + 2 * np.arange(count, dtype=np.int64)[:, None]


def fid_images(seed: int, count: int, height: int, width: int) -> Bytes:
    """Images for the FID network, uint8, (count, height, width, 3), read as RGB.

    even i: clip_frames(seed + 10*i, i + 1, height, width)[i]
    odd i:  array_for(seed, f"fid.noise{i}", (height, width, 3), "byte")
    """
    out = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        if i % 2 == 0:
            out[i] = clip_frames(seed + 10 * i, i + 1, height, width)[i]
        else:
            out[i] = array_for(seed, f"fid.noise{i}", (height, width, 3), "byte").astype(np.uint8)
    return out


def fid_features(seed: int, name: str, count: int, dim: int = 32) -> Doubles:
    """Correlated feature set for the Frechet distance alone, float64, (count, dim).

    z @ mix / sqrt(dim) + 0.5 * mean, all three normal draws of array_for taken to
    float64: "fid.z.<name>" (count, dim), "fid.mix.<name>" (dim, dim),
    "fid.mean.<name>" (dim,).
    """
    z = array_for(seed, "fid.z." + name, (count, dim), "normal").astype(np.float64)
    mix = array_for(seed, "fid.mix." + name, (dim, dim), "normal").astype(np.float64)
    mean = array_for(seed, "fid.mean." + name, (dim,), "normal").astype(np.float64)
    features: Doubles = z @ mix / np.sqrt(float(dim)) + 0.5 * mean
    return features


def subsample(a: NDArray[Any], limit: int = 20000) -> NDArray[Any]:
    """Deterministic thinning of big outputs: every k-th element of the flattened array.

    k = ceil(size/limit), made odd if it is even (so that it walks over rows).
    Returns the array itself (flattened) when it is small enough.
    """
    flat = np.asarray(a).reshape(-1)
    k = -(-flat.size // limit)
    if k > 1 and k % 2 == 0:
        k += 1
    return flat[::k]


def self_check() -> None:
    """Raise where this numpy's generators would give other numbers."""
    a = rng_for(0, "face_encoder.0.conv_block.0.weight").standard_normal(3)
    b = rng_for(1, "input:wave").random(3)
    np.testing.assert_allclose(a, [0.39097824, 1.21602019, 0.6604192], rtol=1e-7)
    np.testing.assert_allclose(b, [0.78932862, 0.72273287, 0.76719245], rtol=1e-7)
