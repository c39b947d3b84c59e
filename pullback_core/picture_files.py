"""Reading pictures: safe formats only, every colour mode, and one sentence for what cannot be read."""

import re
import warnings

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError

from .atomic import open_file

# Formats whose readers only decode. Others start programs (EPS), open files inside files, or read whatever they are given.
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "ICO", "QOI")
MAX_PIXELS = 178_956_970  # half a gigabyte of RGB
GROUND = (
    128,
    128,
    128,
)  # what shows through transparent parts: the middle of the range, which stands for nothing
ORIENTATION_TAG, BITS_TAG, PHOTOMETRIC_TAG, SAMPLE_FORMAT_TAG = 0x0112, 258, 262, 339  # of EXIF and TIFF
WHITE_IS_ZERO, SIGNED = 0, 2
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_picture(path):
    """Read a picture file as an upright RGB Pillow image; of an animation, its first frame.

    Transparent parts show mid-grey. Numbers of 16 bits are scaled to 8.
    Raises FileNotFoundError, OSError for a file that may not be read, and ValueError with the reason for one that
    is damaged, too large, of another format, or of colours that are not clear.
    """
    with open_file(path, "picture") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of either works or raises
        try:
            return _read(file)
        except Image.DecompressionBombError as error:
            pixels = re.search(r"\d+", str(error))
            reason = _too_large(f"{int(pixels[0]):,} pixels" if pixels else "too many pixels")
        except UnidentifiedImageError:
            reason = f"it is damaged or of another format than {', '.join(FORMATS)}; convert it to a sound PNG or JPEG"
        except _Unclear as error:
            reason = str(error)
        except Exception:  # damaged files make Pillow's readers raise almost anything
            reason = "it is damaged; convert it to a sound PNG or JPEG"
    raise ValueError(f"{str(path)!r} cannot be read as a picture: {reason}.")


def to_rgb(picture):
    """A Pillow image of any mode as one of mode RGB. Transparent parts show mid-grey, and 16 bits are scaled to 8.

    Raises ValueError for colours that are not clear, such as numbers without a known range.
    """
    try:
        return _to_rgb(picture)
    except _Unclear as error:
        raise ValueError(f"This picture cannot be used: {error}.") from None


class _Unclear(Exception):
    """Why nobody can tell what a picture looks like."""


def _read(file):
    Image.init()  # loads all readers, of which FORMATS picks
    picture = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    if picture.width * picture.height > MAX_PIXELS:  # known from the header, before anything is decoded
        raise _Unclear(_too_large(f"{picture.width} x {picture.height} pixels"))
    if picture.format == "PNG":
        picture.verify()  # compares checksums, which decoding does not; the picture cannot be used afterwards
        file.seek(0)
        picture = Image.open(file, formats=["PNG"])
        _scale_png_key(picture, file)
    picture.load()
    upright = UPRIGHT.get(picture.getexif().get(ORIENTATION_TAG))
    rgb = _to_rgb(picture)
    return rgb if upright is None else rgb.transpose(upright)


def _too_large(size):
    return f"it has {size}, and at most {MAX_PIXELS:,} can be read; make it smaller"


def _scale_png_key(picture, file):
    """Mend the transparent colour of a PNG, which Pillow leaves in the file's own number of bits."""
    key = picture.info.get("transparency")
    position = file.tell()
    file.seek(24)
    (bits,) = file.read(1)
    file.seek(position)
    if picture.mode == "L" and isinstance(key, int):
        picture.info["transparency"] = key * 255 // (2**bits - 1)
    if picture.mode == "RGB" and bits == 16 and key is not None:
        raise _Unclear(
            "it has 16 bits for each colour and one colour that is transparent; convert it to 8 bits"
        )


def _to_rgb(picture):
    if picture.mode.startswith("I;16"):
        return _from_16_bits(picture)
    if picture.mode in ("I", "F"):
        return _from_numbers(picture)
    if picture.mode == "LAB":
        return _from_lab(picture)
    if picture.mode == "L" and _tag(picture, SAMPLE_FORMAT_TAG) == SIGNED:
        raise _Unclear("its numbers have signs; convert it to 8 or 16 bits without signs")
    if picture.mode == "CMYK" and picture.format in ("JPEG", "MPO") and "adobe" not in picture.info:
        picture = ImageChops.invert(
            picture
        )  # Pillow takes all of these for Adobe's, which hold the inks inverted
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        return _on_ground(picture.convert("RGBA"))
    try:
        return picture.convert("RGB")
    except ValueError:
        raise _Unclear(f"its colours are of the kind {picture.mode!r}; convert it to RGB") from None


def _on_ground(rgba):
    ground = Image.new("RGB", rgba.size, GROUND)
    ground.paste(rgba.convert("RGB"), mask=rgba.getchannel("A"))
    return ground


def _from_16_bits(picture):
    values = np.asarray(picture)
    bits = _tag(picture, BITS_TAG) or 16  # TIFF has 12 as well
    grey = _from_levels(values, 2**bits - 1, picture)
    key = picture.info.get("transparency")
    if key is not None:
        grey.paste(GROUND, mask=Image.fromarray(values == key))
    return grey


def _from_numbers(picture):
    """A picture of 32-bit numbers. Files do not say which of them is white: 1 for fractions, else 255, or 65535 in 16-bit formats."""
    values = np.asarray(picture)
    smallest, largest = values.min(), values.max()
    if not (smallest >= 0 and largest < np.inf):  # NaN fails as well
        raise _Unclear("it holds numbers below zero or not finite; convert it to 8 or 16 bits")
    if picture.mode == "I" and picture.format in ("PNG", "PPM"):
        white = 65535
    elif picture.mode == "F" and largest <= 1:
        white = 1
    elif largest <= 255:
        white = 255
    else:
        raise _Unclear(
            f"it holds numbers up to {largest:g}, and does not say which is white; convert it to 8 or 16 bits"
        )
    return _from_levels(values, white, picture)


def _from_levels(values, white, picture):
    """Numbers (h, w) from 0 to `white` as grey."""
    levels = np.multiply(values, 255 / white, dtype=np.float32)
    levels = np.rint(levels, out=levels).clip(0, 255).astype(np.uint8)
    if _tag(picture, PHOTOMETRIC_TAG) == WHITE_IS_ZERO:  # Pillow mends this for 8 bits only
        levels = 255 - levels
    return Image.fromarray(levels).convert("RGB")


def _from_lab(picture):
    try:
        from PIL import ImageCms
    except ImportError:  # Pillow can be built without colour management
        raise _Unclear("its colours are of the kind 'LAB'; convert it to RGB") from None
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(picture, ImageCms.buildTransform(*profiles, "LAB", "RGB"))


def _tag(picture, number):
    """The first number of a TIFF tag; None for other formats and for tags that are not there."""
    if picture.format != "TIFF":
        return None
    value = picture.tag_v2.get(number)
    return value[0] if isinstance(value, tuple) else value
