"""Read pictures of every colour mode, in safe formats only.

A picture that cannot be read raises an error of one sentence that says why.
"""

import os
import re
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.Image import Image as Picture
from PIL.TiffImagePlugin import TiffImageFile

from .file_access import open_file

# Formats whose readers only decode. Others start programs (EPS), open files inside files, or read whatever
# they are given.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO", "QOI")
MAX_PIXELS = 178_956_970  # half a gigabyte of RGB
GROUND = (128, 128, 128)  # mid-grey, shown where a picture is transparent

ORIENTATION_TAG = 0x0112  # of EXIF
BITS_TAG, PHOTOMETRIC_TAG, SAMPLE_FORMAT_TAG = 258, 262, 339  # of TIFF
WHITE_IS_ZERO = 0  # a value of PHOTOMETRIC_TAG
SIGNED = 2  # a value of SAMPLE_FORMAT_TAG

UPRIGHT = {  # EXIF orientation -> how to turn the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file. Of an animation, read the first frame.

    Transparent parts show mid-grey. Values of 16 bits are scaled to 8 bits.

    Args:
        path: The picture file, in one of `FORMATS`.

    Returns:
        An upright Pillow image of mode RGB.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: The system refuses to open the file.
        ValueError: The picture is damaged, too large, of another format, or its colours are not clear.
    """
    with open_file(path, "picture") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow also raises where its warnings matter
        try:
            return _read(file)
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d+", str(error))
            reason = _too_large(f"{int(pixels[0]):,} pixels" if pixels else "too many pixels")
        except UnidentifiedImageError:
            formats = ", ".join(FORMATS)
            reason = f"it is damaged or of another format than {formats}; convert it to a sound PNG or JPEG"
        except _UnclearColours as error:
            reason = str(error)
        except Exception:  # damaged files make Pillow's readers raise almost anything
            reason = "it is damaged; convert it to a sound PNG or JPEG"
    raise ValueError(f"{str(path)!r} cannot be read as a picture: {reason}.")


def to_rgb(picture: Picture) -> Picture:
    """Convert a Pillow image of any mode to mode RGB.

    Transparent parts show mid-grey. Values of 16 bits are scaled to 8 bits.

    Args:
        picture: The image to convert.

    Returns:
        An image of the same size.

    Raises:
        ValueError: The colours are not clear. Example: numbers whose range is not known.
    """
    try:
        return _to_rgb(picture)
    except _UnclearColours as error:
        raise ValueError(f"This picture cannot be used: {error}.") from None


class _UnclearColours(Exception):
    """The file does not say enough to know its colours, or it is too large. The message is the reason."""


def _read(file: BinaryIO) -> Picture:
    Image.init()  # registers every reader that this Pillow has
    picture = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    if picture.width * picture.height > MAX_PIXELS:  # the header says so, before anything is decoded
        raise _UnclearColours(_too_large(f"{picture.width} x {picture.height} pixels"))
    if picture.format == "PNG":
        picture.verify()  # checks the checksums, which decoding does not; afterwards the file is opened again
        file.seek(0)
        picture = Image.open(file, formats=["PNG"])
        _scale_transparent_colour(picture, file)
    picture.load()
    orientation = picture.getexif().get(ORIENTATION_TAG)
    rgb = _to_rgb(picture)
    return rgb.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else rgb


def _too_large(size: str) -> str:
    return f"it has {size}, and at most {MAX_PIXELS:,} can be read; make it smaller"


def _scale_transparent_colour(picture: Picture, file: BinaryIO) -> None:
    """Scale the transparent colour of a PNG to 8 bits. Pillow leaves it in the file's own number of bits."""
    key = picture.info.get("transparency")
    position = file.tell()
    file.seek(24)  # the bit depth in the header of a PNG
    (bits,) = file.read(1)
    file.seek(position)
    if picture.mode == "L" and isinstance(key, int):
        picture.info["transparency"] = key * 255 // (2**bits - 1)
    if picture.mode == "RGB" and bits == 16 and key is not None:
        raise _UnclearColours(
            "it has 16 bits for each colour and one colour that is transparent; convert it to 8 bits"
        )


def _to_rgb(picture: Picture) -> Picture:
    if picture.mode.startswith("I;16"):
        return _from_16_bits(picture)
    if picture.mode in ("I", "F"):
        return _from_numbers(picture)
    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode == "L" and _tag(picture, SAMPLE_FORMAT_TAG) == SIGNED:
        raise _UnclearColours("its numbers have signs; convert it to 8 or 16 bits without signs")
    if picture.mode == "CMYK" and picture.format in ("JPEG", "MPO") and "adobe" not in picture.info:
        # Adobe's JPEGs hold inverted inks. Pillow inverts the inks of every JPEG, so this undoes it for
        # others.
        picture = ImageChops.invert(picture)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        return _on_ground(picture.convert("RGBA"))
    try:
        return picture.convert("RGB")
    except ValueError:
        raise _UnclearColours(f"its colours are of the kind {picture.mode!r}; convert it to RGB") from None


def _on_ground(rgba: Picture) -> Picture:
    ground = Image.new("RGB", rgba.size, GROUND)
    ground.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
    return ground


def _from_16_bits(picture: Picture) -> Picture:
    values = np.asarray(picture)
    bits = _tag(picture, BITS_TAG) or 16  # a TIFF can have 12
    grey = _from_levels(values, 2**bits - 1, picture)
    key = picture.info.get("transparency")
    if key is not None:
        grey.paste(GROUND, mask=Image.fromarray(values == key))
    return grey


def _from_numbers(picture: Picture) -> Picture:
    """Convert a picture of 32-bit numbers.

    Files do not say which number is white. It is 65535 in 16-bit formats, 1 for fractions, and 255 otherwise.
    """
    values = np.asarray(picture)
    smallest, largest = values.min(), values.max()
    if not (smallest >= 0 and largest < np.inf):  # NaN fails as well
        raise _UnclearColours("it holds numbers below zero or not finite; convert it to 8 or 16 bits")
    if picture.mode == "I" and picture.format in ("PNG", "PPM"):
        white = 65535
    elif picture.mode == "F" and largest <= 1:
        white = 1
    elif largest <= 255:
        white = 255
    else:
        raise _UnclearColours(
            f"it holds numbers up to {largest:g}, and does not say which is white; convert it to 8 or 16 bits"
        )
    return _from_levels(values, white, picture)


def _from_levels(values: np.ndarray, white: int, picture: Picture) -> Picture:
    """Convert numbers (h, w) from 0 to `white` to a grey image of mode RGB."""
    levels = np.multiply(values, 255 / white, dtype=np.float32)
    levels = np.rint(levels, out=levels).clip(0, 255).astype(np.uint8)
    if _tag(picture, PHOTOMETRIC_TAG) == WHITE_IS_ZERO:  # Pillow handles this for 8 bits only
        levels = 255 - levels
    return Image.fromarray(levels).convert("RGB")


def _from_lab(picture: Picture) -> Picture:
    try:
        from PIL import ImageCms
    except ImportError:  # Pillow can be built without colour management
        raise _UnclearColours("its colours are of the kind 'LAB'; convert it to RGB") from None
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(*profiles, "LAB", "RGB").apply(picture)


def _tag(picture: Picture, number: int) -> int | None:
    """The first value of a TIFF tag. None for other formats and for missing tags."""
    if not isinstance(picture, TiffImageFile):
        return None
    value = picture.tag_v2.get(number)
    return value[0] if isinstance(value, tuple) else value
