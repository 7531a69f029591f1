"""What the camera of a door sees, composed: people at a distance, and somebody before them whose face cannot be read.

Whoever stands there is a picture and the box of the head in it (left, top, right, bottom, hair to chin).
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import attacks

WIDTH, HEIGHT = 1280, 960

Box = tuple[int, int, int, int]


def wall() -> Image.Image:
    return attacks.room(WIDTH, HEIGHT)


def place(scene: Image.Image, picture: Image.Image, head: Box, width: int, centre: tuple[int, int]) -> Image.Image:
    """The scene with somebody whose head is `width` pixels wide around `centre`. Their picture's own background fades out."""
    scale = width / (head[2] - head[0])
    size = (round(picture.width * scale), round(picture.height * scale))
    standing = picture.resize(size, Image.Resampling.LANCZOS)
    fade = max(4, width // 8)
    mask = Image.new("L", size, 0)
    # Down to the chest, and at the sides no further than the shoulders.
    left, top, right, bottom = (side * scale for side in head)
    body = (left - 0.45 * width, top - 0.3 * width, right + 0.45 * width, bottom + 0.9 * width)
    inside = (max(body[0], fade), max(body[1], fade), min(body[2], size[0] - fade), min(body[3], size[1] + fade))
    ImageDraw.Draw(mask).rounded_rectangle(inside, width // 3, 255)
    mask = mask.filter(ImageFilter.GaussianBlur(fade / 2))
    at = (round(centre[0] - (left + right) / 2), round(centre[1] - (top + bottom) / 2))
    composed = scene.copy()
    composed.paste(standing, at, mask)
    return composed


# What somebody does to a face so that it cannot be read


def behind_a_hand(picture: Image.Image, head: Box) -> Image.Image:
    """Four fingers and the ball of the hand before eyes, nose and mouth."""
    left, top, width, height = _sides(head)
    hand = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(hand)
    for finger in range(4):
        x = left + width * (0.14 + 0.19 * finger)
        shade = 188 - 9 * (finger % 2)
        draw.rounded_rectangle(
            (x, top + height * (0.20 + 0.03 * abs(finger - 1.5)), x + width * 0.175, top + height * 0.78),
            width * 0.08,
            (shade, shade - 46, shade - 68, 255),
        )
    draw.rounded_rectangle(
        (left + width * 0.10, top + height * 0.60, left + width * 0.93, top + height * 1.1), width * 0.2, (182, 136, 114, 255)
    )
    return _laid_over(picture, hand, width)


def masked_with_sunglasses(picture: Image.Image, head: Box) -> Image.Image:
    """A surgical mask up to the eyes and dark glasses above it."""
    left, top, width, height = _sides(head)
    worn = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(worn)
    corners = ((0.10, 0.56), (0.50, 0.50), (0.90, 0.56), (0.86, 0.86), (0.50, 1.03), (0.14, 0.86))
    draw.polygon([(left + width * x, top + height * y) for x, y in corners], (150, 190, 205, 255))
    for x in (0.12, 0.54):
        lens = (left + width * x, top + height * 0.34, left + width * (x + 0.34), top + height * 0.54)
        draw.rounded_rectangle(lens, width * 0.08, (12, 12, 16, 255))
    draw.rectangle((left + width * 0.06, top + height * 0.38, left + width * 0.94, top + height * 0.42), (12, 12, 16, 255))
    return _laid_over(picture, worn, width)


def under_a_bag(picture: Image.Image, head: Box) -> Image.Image:
    """A dark bag over the whole head, with creases."""
    left, top, width, height = _sides(head)
    bag = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(bag)
    outline = (left - width * 0.15, top - height * 0.1, left + width * 1.15, top + height * 1.15)
    draw.rounded_rectangle(outline, width * 0.3, (34, 32, 36, 255))
    for crease in range(5):
        x = left + width * (0.05 + 0.22 * crease)
        draw.line(((x, top), (x + width * 0.1, top + height * 1.1)), (52, 50, 55, 255), max(1, int(width * 0.02)))
    return _laid_over(picture, bag, width)


def turned_away(picture: Image.Image, head: Box) -> Image.Image:
    """The back of the head: hair down to the neck."""
    left, top, width, height = _sides(head)
    noise = np.random.default_rng(3).normal(0, 12, (picture.height, picture.width))
    strands = np.clip(46 + noise, 20, 90)[:, :, None] * np.array([1.0, 0.8, 0.62])
    hair = Image.fromarray(strands.astype(np.uint8)).filter(ImageFilter.GaussianBlur(max(1, width / 60)))
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).ellipse((left - width * 0.05, top - height * 0.05, left + width * 1.05, top + height * 1.02), fill=255)
    turned = picture.copy()
    turned.paste(hair, (0, 0), mask.filter(ImageFilter.GaussianBlur(max(1, width / 30))))
    return turned


def lying(picture: Image.Image, head: Box) -> Image.Image:
    """The face turned by 90 degrees in the picture."""
    left, top, width, height = _sides(head)
    side = int(max(width, height) * 1.5)
    box = (int(left + width / 2 - side / 2), int(top + height / 2 - side / 2))
    part = picture.crop((*box, box[0] + side, box[1] + side)).rotate(90)
    mask = Image.new("L", part.size, 0)
    edge = side // 10
    ImageDraw.Draw(mask).ellipse((edge, edge, side - edge, side - edge), fill=255)
    lain = picture.copy()
    lain.paste(part, box, mask.filter(ImageFilter.GaussianBlur(edge / 2)))
    return lain


def half_turned(picture: Image.Image, head: Box) -> Image.Image:
    """A profile, as flat paper gives it: one half of the face squeezed to a strip, hair over the other."""
    left, top, width, height = _sides(head)
    middle = int(left + width * 0.5)
    half = picture.crop((int(left), int(top), middle, int(top + height))).resize((int(width * 0.3), int(height)))
    turned = turned_away(picture, head)
    turned.paste(half, (int(left), int(top)))
    return turned


COVERS = (behind_a_hand, masked_with_sunglasses, under_a_bag, turned_away, lying, half_turned)


def _sides(head: Box) -> tuple[int, int, int, int]:
    return head[0], head[1], head[2] - head[0], head[3] - head[1]


def _laid_over(picture: Image.Image, cover: Image.Image, width: float) -> Image.Image:
    cover = cover.filter(ImageFilter.GaussianBlur(max(0.5, width / 150)))
    covered = picture.convert("RGBA")
    covered.alpha_composite(cover)
    return covered.convert("RGB")


def alone(picture: Image.Image, head: Box, width: int) -> Image.Image:
    """Somebody far away and nobody else."""
    return place(wall(), picture, head, width, (WIDTH // 2, HEIGHT // 2))


def colleague_behind(front: Image.Image, front_head: Box, colleague: Image.Image, head: Box, width: int = 80, near: int = 400):
    """Somebody near, `near` pixels wide, and over their shoulder a colleague, `width` pixels wide."""
    scene = place(wall(), colleague, head, width, (1060, 300))
    return place(scene, front, front_head, near, (500, 480))
