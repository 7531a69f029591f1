"""Presentation attacks, drawn: what a camera sees when a print or a screen with a face is held in front of it.

No photograph of a real attack is free of rights and of people who were not asked, so these are made from the portraits in
pictures/: the face is rendered as paper or as a display renders it and put into a scene with the medium's edges.
"""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

import faces


def room(width: int, height: int) -> Image.Image:
    """A wall and a darker floor, slightly noisy, out of focus."""
    noise = np.random.default_rng(7).normal(0, 3, (height, width, 1))
    rows = np.linspace(0, 1, height)[:, None, None]
    wall = np.where(rows < 0.7, 168, 96) * np.array([1.0, 0.97, 0.92])
    picture = Image.fromarray(np.clip(wall + noise, 0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(4))


def print_held_up(name: str, angle: float = 4.0) -> Image.Image:
    """A photo print on white paper, held into the picture: pale ink, halftone dots, a paper border, a slight turn."""
    photo = faces.head_and_shoulders(name, 260)
    photo = ImageEnhance.Color(photo).enhance(0.6)
    photo = ImageEnhance.Contrast(photo).enhance(0.7)
    ink = np.asarray(photo, np.float32)
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    dots = 9 * np.sin(2 * np.pi * (x + y) / 3.1) * np.sin(2 * np.pi * (x - y) / 3.1)
    photo = Image.fromarray(np.clip(ink + dots[:, :, None], 0, 255).astype(np.uint8))
    paper = Image.new("RGB", (photo.width + 50, photo.height + 60), (236, 234, 228))
    paper.paste(photo, (25, 25))
    return _held(paper, angle)


def screen_held_up(name: str, angle: float = -3.0) -> Image.Image:
    """A telephone's display: pixels that beat with the camera's, bluish light, a dark bezel, a reflection."""
    photo = ImageEnhance.Brightness(faces.head_and_shoulders(name, 260)).enhance(1.15)
    light = np.asarray(photo, np.float32) * np.array([0.92, 1.0, 1.12], np.float32)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    beat = 1 + 0.10 * np.sin(2 * np.pi * (x * 0.93 + y * 0.11) / 6.3) * np.sin(2 * np.pi * (y * 1.07 - x * 0.08) / 5.7)
    reflection = 45 * np.exp(-(((x - 200) / 60.0) ** 2 + ((y - 60) / 90.0) ** 2))
    shown = Image.fromarray(np.clip(light * beat[:, :, None] + reflection[:, :, None], 0, 255).astype(np.uint8))
    telephone = Image.new("RGB", (shown.width + 24, shown.height + 90), (14, 14, 16))
    telephone.paste(shown, (12, 45))
    return _held(telephone, angle)


def _held(medium: Image.Image, angle: float) -> Image.Image:
    """The medium, turned a little, in the middle of a room."""
    scene = room(640, 640)
    mask = Image.new("L", medium.size, 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    medium = medium.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    scene.paste(medium, ((640 - medium.width) // 2, (640 - medium.height) // 2), mask)
    return scene.filter(ImageFilter.GaussianBlur(0.7))
