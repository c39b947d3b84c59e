"""Pictures of every mode and format are read as they look, or refused in a sentence."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from pullback_core import figures, picture_files
from pullback_core.picture_files import GROUND, read_picture, to_rgb

GREY = GROUND[0]
RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def colourful(width=40, height=32):
    """Smooth colours, which lossy formats keep, with a corner that tells which way up it is."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack(
        [x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=-1
    ).astype(np.uint8)
    levels[: height // 4, : width // 4] = (250, 20, 20)
    return Image.fromarray(levels)


def pixels(picture):
    return np.asarray(picture).astype(int)


def saved(picture, path, **options):
    Image.init()
    if Image.registered_extensions().get(path.suffix) not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {path.suffix}")
    picture.save(path, **options)
    return path


def png(bits, kind, rows, size, extra=()):
    """A PNG written by hand. kind: PNG's colour type; extra: further (name, data) chunks."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *size, bits, kind, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        *extra,
        (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def refused(path, reason):
    """Check that a file is refused in one sentence that names it."""
    with pytest.raises((ValueError, OSError)) as caught:
        read_picture(path)
    sentence = str(caught.value)
    assert (
        os.path.basename(path) in sentence
        and reason in sentence
        and "\n" not in sentence
        and sentence.endswith(".")
    )


# Colours.


LOSSLESS = {
    "png": {},
    "webp": {"lossless": True},
    "bmp": {},
    "tif": {},
    "ppm": {},
    "tga": {},
    "qoi": {},
    "jp2": {},
    "ico": {"sizes": [(40, 32)]},
}
LOSSY = {"jpg": {"quality": 95}, "avif": {"quality": 95}, "gif": {}}


@pytest.mark.parametrize("ending", [*LOSSLESS, *LOSSY])
def test_every_format_is_read(ending, tmp_path):
    path = saved(colourful(), tmp_path / f"picture.{ending}", **(LOSSLESS | LOSSY)[ending])
    error = np.abs(pixels(read_picture(path)) - pixels(colourful()))
    assert error.max() == 0 if ending in LOSSLESS else error.mean() < 8


@pytest.mark.parametrize(
    "name, make",
    {
        "16-bit PNG": lambda path: saved(Image.fromarray(RAMP), path / "a.png"),
        "16-bit TIFF": lambda path: saved(Image.fromarray(RAMP), path / "a.tif"),
        "big-endian TIFF": lambda path: saved(
            Image.frombytes("I;16B", (256, 256), RAMP.astype(">u2").tobytes()), path / "a.tif"
        ),
        "compressed TIFF": lambda path: saved(Image.fromarray(RAMP), path / "a.tif", compression="tiff_lzw"),
        "16-bit PGM": lambda path: saved(Image.fromarray(RAMP), path / "a.pgm"),
        "16-bit JPEG 2000": lambda path: saved(Image.fromarray(RAMP), path / "a.jp2"),
        "float TIFF up to 1": lambda path: saved(
            Image.fromarray((RAMP / 65535).astype(np.float32)), path / "a.tif"
        ),
        "float TIFF up to 255": lambda path: saved(
            Image.fromarray((RAMP / 257).astype(np.float32)), path / "a.tif"
        ),
        "8-bit PNG": lambda path: saved(Image.fromarray((RAMP >> 8).astype(np.uint8)), path / "a.png"),
    }.items(),
)
def test_a_grey_ramp_is_grey_on_average(name, make, tmp_path):
    image = figures.from_pil(read_picture(make(tmp_path)))
    assert abs(image.mean().item()) < 2e-3 and image.min() == -1 and image.max() == 1
    assert (image[:, 0, 0] == -1).all() and (image[:, -1, -1] == 1).all(), name


def test_figures_take_16_bit_pictures_themselves():
    image = figures.from_pil(Image.fromarray(RAMP))
    assert image.shape == (3, 256, 256) and abs(image.mean().item()) < 2e-3


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"]
)
def test_every_mode_shows_its_colours(mode):
    plain = colourful().convert("1").convert("L") if mode == "1" else colourful()
    if mode in ("L", "LA", "La"):
        plain = plain.convert("L")
    picture = plain.quantize(256) if mode in ("P", "PA") else plain
    step = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode, mode)
    picture = picture.convert(step).convert(mode)
    exact = mode not in ("P", "PA", "YCbCr", "HSV")
    error = np.abs(pixels(to_rgb(picture)) - pixels(plain.convert("RGB")))
    assert error.max() == 0 if exact else error.mean() < 4


def test_lab_shows_its_colours():
    greys = Image.merge(
        "LAB", [Image.new("L", (2, 2), value) for value in (136, 128, 128)]
    )  # L* = 53.3: the middle of sRGB
    red = Image.merge("LAB", [Image.new("L", (2, 2), value) for value in (138, 208, 198)])
    assert np.abs(pixels(to_rgb(greys)) - 127).max() <= 3
    assert (pixels(to_rgb(red))[0, 0] > (240, -1, -1)).all() and pixels(to_rgb(red))[0, 0, 1:].max() < 40


@pytest.mark.parametrize("adobe", [True, False])
def test_inks_are_inverted_in_jpegs_of_adobe_and_in_no_others(adobe, tmp_path):
    inks = Image.new("CMYK", (16, 16), (0, 200, 200, 0))  # red
    data = saved(inks, tmp_path / "a.jpg", quality=100).read_bytes()
    if not adobe:
        data = saved(
            Image.new("CMYK", (16, 16), (255, 55, 55, 255)), tmp_path / "a.jpg", quality=100
        ).read_bytes()
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]
    (tmp_path / "a.jpg").write_bytes(data)
    red, green, blue = pixels(read_picture(tmp_path / "a.jpg"))[8, 8]
    assert red > 240 and green < 70 and blue < 70


# Transparency.


def hidden_colour(mode, path):
    """A file whose left half is opaque white, and whose right half is a transparent red."""
    rgba = Image.new("RGBA", (8, 4), (255, 0, 0, 0))
    rgba.paste((255, 255, 255, 255), (0, 0, 4, 4))
    if mode == "P":
        palette = Image.new("P", (8, 4), 1)
        palette.putpalette([255, 255, 255, 255, 0, 0])
        palette.paste(0, (0, 0, 4, 4))
        return saved(palette, path / "a.png", transparency=1)
    if mode == "LA":
        return saved(rgba.convert("LA"), path / "a.png")
    if mode == "gif":
        return saved(rgba, path / "a.gif")
    return saved(rgba, path / f"a.{mode}", **({"lossless": True, "exact": True} if mode == "webp" else {}))


@pytest.mark.parametrize("mode", ["png", "P", "LA", "gif", "webp", "tif", "tga", "ico"])
def test_the_colour_of_transparent_parts_is_not_read(mode, tmp_path):
    levels = pixels(read_picture(hidden_colour(mode, tmp_path)))
    assert (levels[:, :4] == 255).all() and (levels[:, 4:] == GREY).all()


def test_half_transparent_parts_are_mixed_with_grey():
    assert np.abs(pixels(to_rgb(Image.new("RGBA", (1, 1), (255, 0, 0, 128)))) - (192, 64, 64)).max() <= 1
    assert np.abs(pixels(to_rgb(Image.new("LA", (1, 1), (255, 64)))) - 160).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_found_at_every_depth(bits, tmp_path):
    white = 2**bits - 1
    row = white << (8 * max(1, bits // 8) - bits)  # one white pixel and as many black ones as fill the byte
    row = row.to_bytes(max(1, bits // 8), "big") if bits >= 8 else bytes([row])
    width = max(1, 8 // bits)
    (tmp_path / "a.png").write_bytes(png(bits, 0, [row], (width, 1), [(b"tRNS", struct.pack(">H", white))]))
    levels = pixels(read_picture(tmp_path / "a.png"))
    assert (levels[0, 0] == GREY).all() and (levels[0, 1:] == 0).all()


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path):
    key = struct.pack(">HHH", 300, 1000, 40000)
    (tmp_path / "a.png").write_bytes(png(16, 2, [key], (1, 1), [(b"tRNS", key)]))
    refused(tmp_path / "a.png", "8 bits")


# What nobody can know.


@pytest.mark.parametrize(
    "values, reason",
    [
        (np.array([[0, np.nan]], np.float32), "not finite"),
        (np.array([[0, np.inf]], np.float32), "not finite"),
        (np.array([[-1, 1]], np.float32), "below zero"),
        (np.array([[0, 4000]], np.float32), "up to 4000"),
        (np.array([[0, 70000]], np.int32), "up to 70000"),
        (np.array([[-5, 7]], np.int32), "below zero"),
    ],
)
def test_numbers_without_a_range_are_refused(values, reason, tmp_path):
    refused(saved(Image.fromarray(values), tmp_path / "a.tif"), reason)
    with pytest.raises(ValueError, match=reason):
        to_rgb(Image.fromarray(values))


def test_white_and_black_are_not_swapped_where_white_is_zero(tmp_path):
    for values in (np.array([[0, 65535]], np.uint16), np.array([[0, 255]], np.uint8)):
        path = saved(Image.fromarray(values), tmp_path / "a.tif")
        data = path.read_bytes()
        entry = data.index(struct.pack("<HH", 262, 3))
        path.write_bytes(data[: entry + 8] + struct.pack("<H", 0) + data[entry + 10 :])
        assert pixels(read_picture(path))[0, :, 0].tolist() == [255, 0]


# The way up, and animations.


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_pictures_are_turned_upright_as_pillow_does(orientation, ending, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(colourful(), tmp_path / f"a.{ending}", exif=exif)
    with Image.open(path) as picture:
        assert np.array_equal(
            pixels(read_picture(path)), pixels(ImageOps.exif_transpose(picture).convert("RGB"))
        )


def test_a_16_bit_picture_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.array([[0, 65535], [0, 65535], [0, 65535]], np.uint16)
    assert pixels(read_picture(saved(Image.fromarray(values), tmp_path / "a.png", exif=exif)))[
        ..., 0
    ].tolist() == [[0] * 3, [255] * 3]


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_of_an_animation_the_first_frame_is_read(ending, tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(frames[0], tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:], **options)
    assert (pixels(read_picture(path)) == (255, 0, 0)).all()


# Files that are damaged, or no pictures.


DAMAGEABLE = {
    "png": {},
    "jpg": {},
    "webp": {},
    "gif": {},
    "bmp": {},
    "tif": {},
    "ppm": {},
    "tga": {"compression": "tga_rle"},
    "jp2": {},
    "avif": {},
    "qoi": {},
    "ico": {"sizes": [(32, 32)]},
}


@pytest.mark.parametrize("ending", DAMAGEABLE)
def test_a_truncated_file_is_refused_or_complete(ending, tmp_path):
    path = saved(colourful(), tmp_path / f"a.{ending}", **DAMAGEABLE[ending])
    data, whole = path.read_bytes(), pixels(read_picture(path))
    for length in {0, 1, 2, 8, 30, len(data) - 1, *(len(data) * part // 20 for part in range(20))}:
        path.write_bytes(data[:length])
        try:
            assert np.array_equal(pixels(read_picture(path)), whole), length
        except ValueError as error:
            assert "cannot be read as a picture" in str(error) and "a sound PNG or JPEG" in str(error)


@pytest.mark.parametrize("ending", DAMAGEABLE)
def test_a_damaged_file_is_refused_in_a_sentence_or_read(ending, tmp_path):
    path = saved(colourful(), tmp_path / f"a.{ending}", **DAMAGEABLE[ending])
    data, generator = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for position in generator.integers(0, len(data), 3):
            broken[position] = generator.integers(256)
        path.write_bytes(broken)
        try:
            assert read_picture(path).mode == "RGB"
        except ValueError as error:
            assert "cannot be read as a picture" in str(error) and str(error).endswith(".")


def test_a_changed_number_in_a_png_is_noticed(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    path = saved(noise, tmp_path / "a.png", compress_level=0)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 500] ^= 1
    path.write_bytes(data)
    refused(path, "damaged")


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.png").symlink_to("loop.png")
    for name, reason in (
        ("text", "PNG"),
        ("empty", "PNG"),
        ("folder", "folder"),
        ("loop", "circle"),
        ("none", "no picture"),
    ):
        refused(tmp_path / f"{name}.png", reason)
    with pytest.raises(
        OSError, match=r"^Could not read .*: the name is too long .*; choose a shorter one\.$"
    ):
        read_picture(tmp_path / ("n" * 300))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        refused(tmp_path / "pipe.png", "not an ordinary file")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n%%EOF\n"
DOS_EPS = (
    struct.pack("<4sIIIIIIH", b"\xc5\xd0\xd3\xc6", 32, len(POSTSCRIPT), 0, 0, 0, 0, 0xFFFF)
    + b"\0\0"
    + POSTSCRIPT
)


@pytest.mark.parametrize("data", [POSTSCRIPT, DOS_EPS], ids=["plain", "with a DOS header"])
def test_postscript_starts_no_program(data, tmp_path, monkeypatch):
    def start(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", start)
    monkeypatch.setattr("os.system", start)
    (tmp_path / "a.png").write_bytes(data)
    refused(tmp_path / "a.png", "another format")


@pytest.mark.parametrize("ending", ["dds", "spider", "im", "pcx", "msp", "eps", "pdf", "icns", "sgi", "xbm"])
def test_other_formats_are_refused(ending, tmp_path):
    data = io.BytesIO()
    picture = colourful().convert("1") if ending in ("msp", "xbm") else colourful()
    picture = picture.convert("F") if ending == "spider" else picture
    picture.save(data, format=ending)
    (tmp_path / "a.png").write_bytes(data.getvalue())
    refused(tmp_path / "a.png", "another format")


def test_a_huge_picture_is_refused_by_its_header(tmp_path, monkeypatch):
    def decode(*_):
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decode)
    row = bytes(2048)
    (tmp_path / "a.png").write_bytes(png(1, 0, [row] * 16384, (16384, 16384)))
    refused(tmp_path / "a.png", "268,435,456 pixels, and at most 178,956,970")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # some programs switch Pillow's own limit off
    refused(tmp_path / "a.png", "16384 x 16384 pixels, and at most 178,956,970")


def test_a_large_picture_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 32 * 40)
    assert read_picture(saved(colourful(), tmp_path / "a.png")).size == (40, 32)
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 32 * 40 - 1)
    refused(tmp_path / "a.png", "40 x 32 pixels, and at most 1,279")
