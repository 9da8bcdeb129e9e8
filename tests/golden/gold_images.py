"""images.bin: encoded images and what Pillow and torchvision make of them.

    file/<name>            u8, the bytes of a .jpg or .png
    decoded/<name>.rgb     u8 (H, W, 3): Image.open(...).convert("RGB"); decoded/<name>.grey (H, W): Image.open(...).convert("RGB").convert("L")
    case/<n>/{file,spec,out}  spec i64: box x, y, w, h, resized w, h, window left, top, width, height, flip, channels;
                           out u8 (C, H, W): resized_crop / resize + crop, hflip
    case/<n>/x             f32, every tenth: ToTensor and Normalize(MEAN, STD) of it
"""
import io

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def picture(width, height, seed):
    """Smooth colours with edges and some noise, so that every code path of a decoder has work."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 100 * np.sin(x / (5 + 3 * c) + y / (7 + c)) for c in range(3)]
    image = np.stack(planes, -1) + rng.normal(0, 12, (height, width, 3))
    image[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, 3)
    return Image.fromarray(image.clip(0, 255).astype(np.uint8))


def encoded(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def files():
    small, wide = picture(61, 47, 1), picture(143, 70, 2)
    for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
        yield f"{name}.jpg", encoded(wide, format="JPEG", quality=88, subsampling=subsampling)
    yield "progressive.jpg", encoded(wide, format="JPEG", quality=80, progressive=True)
    yield "small.jpg", encoded(small, format="JPEG", quality=92)
    yield "restart.jpg", encoded(small, format="JPEG", quality=70, restart_marker_blocks=3)
    yield "grey.jpg", encoded(wide.convert("L"), format="JPEG", quality=85)
    yield "cmyk.jpg", encoded(small.convert("CMYK"), format="JPEG", quality=85)
    yield "rgb.png", encoded(small, format="PNG")
    alpha = small.copy()
    alpha.putalpha(small.convert("L"))
    yield "rgba.png", encoded(alpha, format="PNG")
    yield "grey.png", encoded(small.convert("L"), format="PNG")
    yield "grey_alpha.png", encoded(alpha.convert("LA"), format="PNG")
    yield "palette.png", encoded(small.quantize(37), format="PNG")
    yield "palette_transparent.png", encoded(small.quantize(9), format="PNG", transparency=3)
    yield "bits.png", encoded(small.convert("1"), format="PNG")


def cases(open_image):
    """(file, spec, image): what torchvision's functions do with the numbers of the spec."""
    for file in ("420.jpg", "444.jpg", "progressive.jpg", "small.jpg", "cmyk.jpg", "rgb.png", "grey.png"):
        image = open_image(file)
        w, h = image.size
        for i, (x, y, bw, bh, sw, sh, flip) in enumerate([
                (0, 0, w, h, w, h, 0), (0, 0, w, h, 32, 24, 1), (3, 5, w - 7, h - 9, 28, 28, 0), (w // 2, h // 3, w // 3, h // 2, 40, 31, 1),
                (w - 9, 1, 9, 20, 20, 33, 0), (0, 0, w, h, 7, 90, 0), (w // 4, 0, 1, h, 5, 5, 0), (10, 10, 30, 20, 30, 11, 0)]):
            grey = i % 2
            part = F.resized_crop(image.convert("L") if grey else image, y, x, bh, bw, [sh, sw], antialias=True)
            yield file, [x, y, bw, bh, sw, sh, 0, 0, sw, sh, flip, 1 if grey else 3], F.hflip(part) if flip else part
        for left, top, cw, ch, flip in ((4, 2, 20, 20, 0), (-5, -3, 50, 12, 1), (30, 10, 30, 30, 0), (-40, -40, 8, 8, 0), (-2, 8, 70, 60, 1)):
            part = F.crop(F.resize(image, [36, 44], antialias=True), top, left, ch, cw)
            yield file, [0, 0, w, h, 44, 36, left, top, cw, ch, flip, 3], F.hflip(part) if flip else part


def write_images(g):
    data = dict(files())
    for name, content in data.items():
        image = Image.open(io.BytesIO(content)).convert("RGB")
        g.add(f"file/{name}", np.frombuffer(content, np.uint8))
        g.add(f"decoded/{name}.rgb", np.asarray(image))
        g.add(f"decoded/{name}.grey", np.asarray(image.convert("L")))
    for i, (file, spec, image) in enumerate(cases(lambda name: Image.open(io.BytesIO(data[name])).convert("RGB"))):
        channels = spec[-1]
        g.text(f"case/{i}/file", file)
        g.add(f"case/{i}/spec", torch.tensor(spec))
        g.add(f"case/{i}/out", F.pil_to_tensor(image))
        if i % 10 == 0:
            g.add(f"case/{i}/x", F.normalize(F.to_tensor(image), MEAN[:channels], STD[:channels]))
